//! Random histories against the naive model, and random bytes against the decoders.

mod commands;
mod compare;

use engine::actor::Actor;
use engine::apply::Error;
use engine::command::{
    ClaimPayments, ClaimRefunds, Command, CreateProduct, Envelope, RefundResult, Rules,
    SettleRefunds,
};
use engine::entry::Entry;
use engine::event::{Event, EventId};
use engine::hold;
use engine::ids::{HoldId, NodeId, OrderId, Position, RefundId, RequestId, Timestamp, TokenId};
use engine::money::Money;
use engine::order::Status;
use engine::state::{State, Unobserved};
use engine::store::memory::MemoryStore;
use engine::trace::TraceId;
use engine_model::{Model, Predicted, Progress};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;

use crate::common::{Machine, Recorder, entry, entry_under, events_after};
use commands::*;
use compare::*;

/// One entry: time that passes, commands, and what happens to the store afterwards.
#[derive(Clone, Debug)]
struct Step {
    passes_ms: u64,
    operations: Vec<Op>,
    checkpoint: bool,
    reopen: bool,
}

fn step() -> impl Strategy<Value = Step> {
    let (checkpoint, reopen) = (prop::bool::weighted(0.15), prop::bool::weighted(0.1));
    (0_u64..120, vec(operation(), 0..6), checkpoint, reopen).prop_map(
        |(passes_ms, operations, checkpoint, reopen)| Step {
            passes_ms,
            operations,
            checkpoint,
            reopen,
        },
    )
}

/// The setup before every random history: products to order, and orders that were cancelled, so
/// that chunks of orders fill up and leave memory within a short history.
fn prefix(cancelled: u64) -> Vec<Op> {
    let product = |stock, max_per_user| CreateProduct {
        name: "thing".into(),
        price: Money(10),
        stock,
        max_per_user,
        ..CreateProduct::default()
    };
    let place = crate::common::order(&[(3, 1)]);
    let create = [(20, None), (4, Some(3)), (1000, None)]
        .map(|(stock, limit)| Command::CreateProduct(product(stock, limit)));
    let orders = (1..=cancelled)
        .flat_map(|id| [Command::PlaceOrder(place.clone()), crate::common::cancel(OrderId(id))]);
    create.into_iter().chain(orders).map(Op::Plain).collect()
}

/// Moves the orders that a command names past those of the prefix, but for the two lowest.
fn past_prefix(command: &mut Command, cancelled: u64) {
    let past = |id: &mut OrderId| {
        if id.0 > 2 {
            id.0 += cancelled.saturating_sub(2);
        }
    };
    match command {
        Command::CancelOrder(cancel) => past(&mut cancel.order),
        Command::ClaimPayments(claim) => claim.tasks.iter_mut().for_each(|(id, _)| past(id)),
        Command::PaymentWebhook(webhook) => past(&mut webhook.order),
        Command::SettlePayments(settle) => {
            settle.results.iter_mut().for_each(|result| past(&mut result.order));
        }
        _ => {}
    }
}

/// The node that sends: gives every command its request id and remembers what it sent.
#[derive(Debug)]
struct Sender {
    boot: u64,
    seq: u64,
    sent: Vec<Envelope>,
}

impl Sender {
    fn envelope(&mut self, model: &Model, operation: Op) -> Option<Envelope> {
        let command = match operation {
            Op::Plain(command) => command,
            Op::Versioned(command, expect) => with_version(model, command, expect),
            Op::Again(_) if self.sent.is_empty() => return None,
            Op::Again(which) => return Some(which.get(&self.sent).clone()),
            Op::Repeat(_) if self.sent.is_empty() => return None,
            Op::Repeat(which) => which.get(&self.sent).command.clone(),
            Op::ClaimDue { node, lease_ms } => {
                let tasks = tasks(model).filter(|(_, task)| task.due <= model.clock);
                let tasks = tasks.map(|(id, task)| (id, task.attempt)).collect();
                Command::ClaimPayments(ClaimPayments { node: NodeId(node), lease_ms, tasks })
            }
            Op::Settle(which, verdict) => {
                let tasks: Vec<_> = tasks(model).collect();
                let (order, task) = tasks.get(which.index(tasks.len().max(1)))?;
                let (order, attempt) = (*order, task.attempt);
                crate::common::settle(order, attempt, verdict)
            }
            Op::Report(which, mut webhook) => {
                let newest = model.orders.len() as u64 + 3;
                webhook.order = OrderId(newest - which.index(newest.min(8) as usize) as u64);
                let order = model.orders.get(webhook.order.0 as usize - 1);
                webhook.amount = webhook.amount.and(order.map(|order| order.total));
                Command::PaymentWebhook(webhook)
            }
            Op::Refund(which, mut refund) => {
                let paid = (1..).map(OrderId).zip(&model.orders);
                let paid = paid.filter(|(_, row)| row.progress.now().status == Status::Paid);
                let paid: Vec<_> = paid.map(|(id, _)| id).collect();
                // Now and then one that is not paid.
                refund.order = match paid.is_empty() || refund.amount == Some(Money(39)) {
                    true => OrderId(which.index(model.orders.len() + 2) as u64),
                    false => paid[which.index(paid.len())],
                };
                if let Some(order) = model.order(refund.order) {
                    refund.facts = Model::facts(order);
                }
                Command::RequestRefund(refund)
            }
            Op::ClaimRefunds(node) => {
                let refunds = (1..=model.refunds.len() as u64 + 1).map(RefundId).collect();
                let node = NodeId(node);
                Command::ClaimRefunds(ClaimRefunds { node, lease_ms: 100, refunds })
            }
            Op::SettleRefund(which, verdict) => {
                let refund = RefundId(which.index(model.refunds.len() + 2) as u64);
                let results = vec![RefundResult { refund, verdict }];
                Command::SettleRefunds(SettleRefunds { results })
            }
            Op::Consume(which, mut command) => {
                let holds = (1..).map(HoldId).zip(&model.holds);
                let active =
                    holds.filter(|(_, hold)| hold.term.now().status == hold::Status::Active);
                let holds: Vec<_> = active.map(|(id, _)| id).collect();
                let hold = *holds.get(which.index(holds.len().max(1)))?;
                if let Command::PlaceOrder(order) = &mut command {
                    (order.hold, order.lines) = (Some(hold), Vec::new());
                }
                command
            }
            Op::Restart => {
                (self.boot, self.seq) = (self.boot + 1, 0);
                return None;
            }
        };
        self.seq += 1;
        let request = RequestId { node: NodeId(1), boot: self.boot, seq: self.seq };
        let actor = match self.seq % 8 {
            0 => Actor::Nobody,
            1 => Actor::Token(TokenId(self.seq / 8 % 4)),
            _ => Actor::Root(NodeId(1)),
        };
        let envelope = Envelope { request, trace: TraceId::Uuid([3; 16]), actor, command };
        self.sent.push(envelope.clone());
        Some(envelope)
    }
}

/// The payment tasks, by order.
fn tasks(model: &Model) -> impl Iterator<Item = (OrderId, &Progress)> {
    let orders = (1..).map(OrderId).zip(&model.orders);
    orders.filter(|(_, order)| order.has_task()).map(|(id, order)| (id, order.progress.now()))
}

fn with_version(model: &Model, mut command: Command, expect: Expect) -> Command {
    let (product, expected) = match &mut command {
        Command::UpdateProduct(update) => (update.product, &mut update.expected_version),
        Command::ArchiveProduct(archive) => (archive.product, &mut archive.expected_version),
        _ => unreachable!("only products have versions"),
    };
    let row = model.products.get(product.0 as usize - 1);
    *expected = match expect {
        Expect::Any => None,
        Expect::Current => row.map(|row| row.now().version),
        Expect::Other => Some(Position(1)),
    };
    command
}

proptest! {
    /// A state, one that is often closed and reopened, and the model agree after every entry.
    #[test]
    fn engine_and_model_agree_on_any_history(
        cancelled in prop_oneof![Just(0_u64), 40_u64..140],
        steps in vec(step(), 1..40),
        per_page in 1_u64..8,
        before in 0_u64..20,
    ) {
        let mut state = State::new();
        let mut reopened = State::new();
        reopened.set_resident_chunks_max(0);
        let store = MemoryStore::new();
        let mut model = Model::default();
        let mut sender = Sender { boot: 1, seq: 0, sent: Vec::new() };
        let mut log: Vec<Vec<u8>> = Vec::new();
        let mut told: Vec<Event> = Vec::new();
        let mut now = 0;
        let first =
            Step { passes_ms: 1, operations: prefix(cancelled), checkpoint: false, reopen: false };
        for (number, step) in std::iter::once(first).chain(steps).enumerate() {
            now += step.passes_ms;
            let index = log.len() as u64 + 1;
            let mut expected = Predicted::default();
            model.begin(index, Timestamp(now), &mut expected);
            let mut envelopes = Vec::new();
            for operation in step.operations {
                let operation = match operation {
                    Op::Plain(mut command) if number > 0 => {
                        past_prefix(&mut command, cancelled);
                        Op::Plain(command)
                    }
                    other => other,
                };
                let Some(mut envelope) = sender.envelope(&model, operation) else { continue };
                let position = Position::new(index, envelopes.len() as u64);
                // Some were written before reports stopped to wait for their orders.
                let rules = match envelope.request.seq % 3 {
                    0 => Rules::NoParking,
                    // The encoding of level 0 has no place for what came after it.
                    _ if envelope.command.level() > 0 => Rules::NoParking,
                    _ => Rules::Parking,
                };
                if rules == Rules::Parking {
                    // They did not say who asks.
                    envelope.actor = Actor::Nobody;
                }
                model.execute(position, rules, envelope.clone(), &mut expected);
                envelopes.push((rules, envelope));
            }
            prop_assert_eq!(model.balance(), Ok(()), "at entry {}", index);
            log.push(entry_under(now, &envelopes));
            let payload = log.last().expect("just pushed");
            let mut recorder = Recorder::default();
            state.apply(index, 1, payload, &mut recorder).expect("well formed");
            let outcomes = recorder.outcomes.into_iter();
            let outcomes: Vec<_> =
                outcomes.map(|(_, request, outcome)| (request, outcome)).collect();
            prop_assert_eq!(outcomes, expected.outcomes, "at entry {}", index);
            prop_assert_eq!(&recorder.events, &expected.events, "at entry {}", index);
            told.extend(recorder.events);
            state.check_invariants().expect("sound");
            reopened.apply(index, 1, payload, &mut Unobserved).expect("well formed");
            prop_assert_eq!(state.digest(), reopened.digest());
            if step.checkpoint {
                let written = reopened.freeze().write(&store).expect("written");
                reopened.release(&written);
            }
            if step.reopen {
                reopened = State::open(&store).expect("opened");
                reopened.set_resident_chunks_max(0);
                for (index, payload) in (1..).zip(&log) {
                    if index > reopened.applied_index() {
                        reopened.apply(index, 1, payload, &mut Unobserved).expect("well formed");
                    }
                }
                prop_assert_eq!(state.digest(), reopened.digest(), "reopened at {}", index);
            }
            // Rows change rarely between two looks, and each outcome was compared.
            if step.checkpoint || step.reopen {
                compare(&reopened, &store, &model);
            }
        }
        compare(&reopened, &store, &model);
        compare(&state, &store, &model);
        for state in [&state, &reopened] {
            let kept = events_after(state, &store, EventId::default(), per_page as usize * 9);
            prop_assert!(kept == told, "the stored events are those that were told");
        }
        compare_lists(&reopened, &model, per_page, before);
    }

    #[test]
    fn random_bytes_are_neither_an_entry_nor_a_command(bytes in vec(any::<u8>(), 0..400)) {
        drop(Entry::parse(&bytes));
        drop(Envelope::decode(&bytes));
        // The same behind a good version byte, so that the decoder gets past it.
        for version in [1, 2, 3] {
            let versioned: Vec<u8> = std::iter::once(version).chain(bytes.clone()).collect();
            drop(Entry::parse(&versioned));
            drop(Envelope::decode(&versioned));
            drop(State::new().apply(1, 1, &versioned, &mut Unobserved));
        }
    }

    /// A mutated entry never panics, a state that took it is sound, and only a level that this
    /// build does not know stops the node.
    #[test]
    fn mutated_entries_never_panic(
        operations in vec(operation(), 1..6),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in of(any::<prop::sample::Index>()),
    ) {
        let mut machine = Machine::default();
        machine.product("1.00", 9);
        machine.place(crate::common::mock_order(&[(1, 1)]));
        let mut sender = Sender { boot: 2, seq: 0, sent: Vec::new() };
        let envelopes: Vec<_> = operations
            .into_iter()
            .filter_map(|operation| sender.envelope(&Model::default(), operation))
            .collect();
        let mut payload = entry(1, &envelopes);
        for (at, byte) in changes {
            let at = at.index(payload.len());
            payload[at] = byte;
        }
        if let Some(cut) = cut {
            payload.truncate(cut.index(payload.len()));
        }
        let index = machine.log.len() as u64 + 1;
        match machine.state.apply(index, 1, &payload, &mut machine.recorder) {
            Ok(()) => machine.state.check_invariants().expect("sound"),
            Err(error) => prop_assert!(matches!(error, Error::NeedsLevel { .. }), "{error}"),
        }
    }

    #[test]
    fn commands_survive_the_round_trip(operation in operation()) {
        let mut sender = Sender { boot: 1, seq: 0, sent: Vec::new() };
        if let Some(envelope) = sender.envelope(&Model::default(), operation) {
            let read = Envelope::decode(&envelope.encode());
            prop_assert_eq!(read, Ok((Rules::NoParking, envelope)));
        }
    }
}
