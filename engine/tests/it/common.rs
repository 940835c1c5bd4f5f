//! Shared by the engine's tests: a state that gets commands as from a leader, and short ways to
//! write commands.

use engine::actor::Actor;
use engine::adjustment::Change;
use engine::checkpoint::{CheckpointStore, read_events};
use engine::command::{
    AdjustStock, ArchiveProduct, CancelOrder, ClaimPayments, Command, CreateHold, CreateProduct,
    CreateUser, Envelope, ExtendHold, FenceKey, PaymentResult, PaymentWebhook, PlaceBatch,
    PlaceOrder, ReleaseHold, Rules, SettlePayments, Verdict,
};
use engine::entry::Builder;
use engine::event::{Event, EventId, EventPage};
use engine::hold::Hold;
use engine::ids::{
    HoldId, NodeId, OrderId, Position, ProductId, Quantity, RequestId, Timestamp, UserId,
};
use engine::layout::Added;
use engine::order::{Line, Order, PaymentMethod};
use engine::outcome::Outcome;
use engine::product::Product;
use engine::state::{Lookup, Observer, OrderLookup, State};
use engine::store::memory::MemoryStore;
use engine::trace::TraceId;
use engine::webhook::Report;

/// Records outcomes and events.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    pub(crate) outcomes: Vec<(Position, RequestId, Outcome)>,
    pub(crate) events: Vec<Event>,
    pub(crate) undecodable: Vec<Position>,
}

impl Observer for Recorder {
    fn undecodable(&mut self, position: Position, _: &engine::codec::Error) {
        self.undecodable.push(position);
    }

    fn applied(&mut self, state: &State, position: Position, request: RequestId, outcome: Outcome) {
        assert_eq!(state.position(), position);
        self.outcomes.push((position, request, outcome));
    }

    fn event(&mut self, event: &Event) {
        if let Some(last) = self.events.last() {
            assert!((last.position, last.n) < (event.position, event.n), "events are ordered");
        }
        self.events.push(event.clone());
    }
}

/// A state and the log that led to it.
#[derive(Debug, Default)]
pub(crate) struct Machine {
    pub(crate) state: State,
    pub(crate) recorder: Recorder,
    /// The payloads of all entries so far; the first has index 1.
    pub(crate) log: Vec<Vec<u8>>,
    pub(crate) now: u64,
    pub(crate) seq: u64,
    pub(crate) store: MemoryStore,
}

impl Machine {
    /// Applies one command in an entry of its own.
    pub(crate) fn run(&mut self, command: Command) -> Outcome {
        self.run_all(vec![command]).pop().expect("one command, one outcome")
    }

    /// Applies several commands in one entry.
    pub(crate) fn run_all(&mut self, commands: Vec<Command>) -> Vec<Outcome> {
        let envelopes = commands
            .into_iter()
            .map(|command| {
                self.seq += 1;
                let request = RequestId { node: NodeId(1), boot: 1, seq: self.seq };
                Envelope { request, trace: TraceId::Uuid([7; 16]), actor: Actor::System, command }
            })
            .collect();
        self.run_envelopes(envelopes)
    }

    /// Applies one command as a build wrote it that let reports of payments wait for their order.
    pub(crate) fn run_parking(&mut self, command: Command) -> Outcome {
        self.seq += 1;
        let request = RequestId { node: NodeId(1), boot: 1, seq: self.seq };
        let envelope =
            Envelope { request, trace: TraceId::Uuid([7; 16]), actor: Actor::Nobody, command };
        let payload = entry_under(self.now, &[(Rules::Parking, envelope)]);
        self.run_payload(payload).pop().expect("one command, one outcome")
    }

    /// Applies envelopes as they are, in one entry.
    pub(crate) fn run_envelopes(&mut self, envelopes: Vec<Envelope>) -> Vec<Outcome> {
        self.run_payload(entry(self.now, &envelopes))
    }

    fn run_payload(&mut self, payload: Vec<u8>) -> Vec<Outcome> {
        self.log.push(payload.clone());
        let before = self.recorder.outcomes.len();
        let index = self.log.len() as u64;
        self.state.apply(index, 1, &payload, &mut self.recorder).expect("well formed");
        self.recorder.outcomes[before..].iter().map(|(_, _, outcome)| outcome.clone()).collect()
    }

    /// What the command would come to next, on a copy that the log makes.
    pub(crate) fn try_on_a_copy(&self, command: Command) -> Outcome {
        let mut copy = Machine { now: self.now, seq: self.seq, ..Machine::default() };
        for payload in &self.log {
            copy.run_payload(payload.clone());
        }
        copy.run(command)
    }

    /// Lets time pass and applies a tick.
    pub(crate) fn pass(&mut self, ms: u64) {
        self.now += ms;
        assert_eq!(self.run(Command::Tick), Outcome::Ticked);
    }

    /// Writes a checkpoint and continues with the state that it opens to.
    pub(crate) fn come_back(&mut self) {
        // The next checkpoint writes only what changes from here on.
        let written = self.state.freeze().write(&self.store).expect("written");
        self.state.release(&written);
        let digest = self.state.digest();
        self.state = State::open(&self.store).expect("opened");
        assert_eq!(self.state.digest(), digest);
    }

    /// Creates a product.
    pub(crate) fn product(&mut self, price: &str, stock: i64) -> ProductId {
        match self.run(create(price, stock)) {
            Outcome::ProductCreated(id) => id,
            other => panic!("not created: {other:?}"),
        }
    }

    /// Places an order that must be accepted.
    pub(crate) fn place(&mut self, order: PlaceOrder) -> OrderId {
        match self.run(Command::PlaceOrder(order)) {
            Outcome::Placed(id) => id,
            other => panic!("not placed: {other:?}"),
        }
    }

    /// Makes a hold that must be accepted.
    pub(crate) fn make_hold(&mut self, hold: CreateHold) -> HoldId {
        match self.run(Command::CreateHold(hold)) {
            Outcome::HoldCreated(id) => id,
            other => panic!("not held: {other:?}"),
        }
    }

    /// Claims the first attempts of these orders.
    pub(crate) fn claim(&mut self, orders: &[OrderId]) -> Vec<OrderId> {
        let tasks = orders.iter().map(|id| (*id, 1)).collect();
        match self.run(claim(1, tasks)) {
            Outcome::Claimed(claimed) => claimed.into_iter().map(|claim| claim.order).collect(),
            other => panic!("not claimed: {other:?}"),
        }
    }

    /// Settles one attempt; returns how many results counted.
    pub(crate) fn settle(&mut self, order: OrderId, attempt: u32, verdict: Verdict) -> u64 {
        match self.run(settle(order, attempt, verdict)) {
            Outcome::Settled(count) => count,
            other => panic!("not settled: {other:?}"),
        }
    }

    /// An order that must be in memory.
    pub(crate) fn order(&self, id: OrderId) -> Order {
        match self.state.order(id) {
            OrderLookup::Resident(order) => order.into_owned(),
            other => panic!("order {id} is not resident: {other:?}"),
        }
    }

    /// A hold that must be in memory.
    pub(crate) fn held(&self, id: HoldId) -> Hold {
        match self.state.hold(id) {
            Lookup::Resident(hold) => hold.into_owned(),
            other => panic!("hold {id} is not resident: {other:?}"),
        }
    }

    /// A product that must be there.
    pub(crate) fn stock(&self, id: ProductId) -> &Product {
        self.state.product(id).expect("the product exists")
    }

    /// The dotted names of all events since the last call.
    pub(crate) fn events(&mut self) -> Vec<&'static str> {
        self.recorder.events.drain(..).map(|event| event.kind.as_str()).collect()
    }
}

/// All events after `id`, from the state or from the store where the state refers to it.
pub(crate) fn events_after(
    state: &State,
    store: &dyn CheckpointStore,
    mut id: EventId,
    limit: usize,
) -> Vec<Event> {
    let mut events: Vec<Event> = Vec::new();
    loop {
        let page = match state.events_after(id, limit) {
            EventPage::Events(page) => page,
            EventPage::Stored { chunk } => {
                let chunk = read_events(store, chunk).expect("readable").expect("kept");
                chunk.into_iter().filter(|event| event.id() > id).take(limit).collect()
            }
            EventPage::Gone { floor } => panic!("{id} is below {floor}"),
        };
        let Some(last) = page.last() else { return events };
        id = last.id();
        events.extend(page);
    }
}

/// The payload of an entry.
pub(crate) fn entry(now: u64, envelopes: &[Envelope]) -> Vec<u8> {
    let mut builder = Builder::new(Timestamp(now));
    for envelope in envelopes {
        builder.push(&envelope.encode());
    }
    builder.finish()
}

/// The payload of an entry whose commands were written under these rules.
pub(crate) fn entry_under(now: u64, envelopes: &[(Rules, Envelope)]) -> Vec<u8> {
    let mut builder = Builder::new(Timestamp(now));
    for (rules, envelope) in envelopes {
        builder.push(&envelope.encode_at(match rules {
            Rules::Parking => 0,
            Rules::NoParking => 1,
        }));
    }
    builder.finish()
}

/// A product's creation.
pub(crate) fn create(price: &str, stock: i64) -> Command {
    Command::CreateProduct(CreateProduct {
        name: "thing".into(),
        price: price.parse().expect("a price"),
        stock,
        ..CreateProduct::default()
    })
}

/// Lines of (product, quantity).
pub(crate) fn lines(lines: &[(u64, u32)]) -> Vec<Line> {
    let line =
        |&(product, quantity)| Line { product: ProductId(product), quantity: Quantity(quantity) };
    lines.iter().map(line).collect()
}

/// An order of these (product, quantity) lines that nobody settles by itself.
pub(crate) fn order(of: &[(u64, u32)]) -> PlaceOrder {
    PlaceOrder {
        user: None,
        hold: None,
        lines: lines(of),
        payment_method: PaymentMethod::None,
        key: None,
        metadata: None,
        payment_attempts_max: 1,
        payment_deadline_ms: 1_000,
        open_orders_max: 1_000_000,
        require_user: false,
        terms: Added::default(),
    }
}

/// A hold of these lines for 100 ms, which can be extended to one second.
pub(crate) fn hold(of: &[(u64, u32)]) -> CreateHold {
    CreateHold {
        user: None,
        lines: lines(of),
        ttl_ms: 100,
        key: None,
        ttl_max_ms: 1_000,
        active_holds_max: 1_000_000,
        require_user: false,
        ttl_is_default: Added::default(),
    }
}

/// A provider's report about an order. Without the order it is parked for one second.
pub(crate) fn webhook(key: &str, order: u64, report: Report) -> PaymentWebhook {
    PaymentWebhook {
        key: key.into(),
        order: OrderId(order),
        report,
        amount: None,
        payload: None,
        park_ms: 1_000,
        parked_max: 1_000,
    }
}

/// An order from a hold that nobody settles by itself.
pub(crate) fn order_from(hold: HoldId) -> PlaceOrder {
    PlaceOrder { hold: Some(hold), ..order(&[]) }
}

/// Release a hold.
pub(crate) fn release(hold: HoldId) -> Command {
    Command::ReleaseHold(ReleaseHold { hold })
}

/// Extend a hold that may live for a second.
pub(crate) fn extend(hold: HoldId, ttl_ms: u64) -> Command {
    Command::ExtendHold(ExtendHold { hold, ttl_ms, ttl_max_ms: 1_000 })
}

/// An order of these lines, settled by the worker.
pub(crate) fn mock_order(lines: &[(u64, u32)]) -> PlaceOrder {
    PlaceOrder { payment_method: PaymentMethod::Mock, ..order(lines) }
}

/// An order of these lines under a key, which nobody settles by itself.
pub(crate) fn keyed(key: &str, lines: &[(u64, u32)]) -> PlaceOrder {
    PlaceOrder { key: Some(key.into()), ..order(lines) }
}

/// A cancellation without a reason.
pub(crate) fn cancel(order: OrderId) -> Command {
    Command::CancelOrder(CancelOrder { order, reason: None })
}

/// A claim with a lease of ten seconds.
pub(crate) fn claim(node: u64, tasks: Vec<(OrderId, u32)>) -> Command {
    Command::ClaimPayments(ClaimPayments { node: NodeId(node), lease_ms: 10_000, tasks })
}

/// One payment result.
pub(crate) fn settle(order: OrderId, attempt: u32, verdict: Verdict) -> Command {
    Command::SettlePayments(SettlePayments {
        results: vec![PaymentResult { order, attempt, verdict }],
    })
}

/// A refusal by the gateway.
pub(crate) fn declined() -> Verdict {
    Verdict::Declined { reason: "card refused".into(), retry_in_ms: 500 }
}

/// Adjust the stock of a product.
pub(crate) fn adjust(product: ProductId, change: Change) -> AdjustStock {
    AdjustStock { product, change, expected: None, reason: "counted".into(), key: None }
}

/// Place many orders.
pub(crate) fn batch(atomic: bool, orders: Vec<PlaceOrder>) -> Command {
    Command::PlaceBatch(PlaceBatch { atomic, orders })
}

/// Fence a key of orders.
pub(crate) fn fence(key: &str) -> Command {
    Command::FenceKey(FenceKey { key: key.into() })
}

/// Archive a product, whatever its version.
pub(crate) fn archive(product: ProductId) -> Command {
    Command::ArchiveProduct(ArchiveProduct { product, expected_version: None })
}

/// Create a user with this address.
pub(crate) fn user(email: &str) -> Command {
    Command::CreateUser(CreateUser { name: "Alice".into(), email: email.into() })
}

/// A user's id.
pub(crate) fn user_id(id: u64) -> Option<UserId> {
    Some(UserId(id))
}
