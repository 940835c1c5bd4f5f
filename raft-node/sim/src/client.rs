//! A client: makes one request after the other, and retries like the typed client crate.
//!
//! It may send a request again that was certainly not applied. It sends one with an unknown outcome
//! again only when that is harmless: reads, cancels, and what has an idempotency key.

mod choose;

use engine::command::{Command, Keyed, PaymentWebhook, PlaceOrder};
use engine::ids::{HoldId, NodeId, OrderId, Position};
use engine::outcome::Outcome;

use super::ask::{Ask, Freshness, Reply};
use super::oracle::end_of;
use crate::event::Event;
use crate::sim::Sim;
use crate::time::{MS, SECOND};

/// Own orders that a client remembers for replays and cancels.
const REMEMBERED_MAX: usize = 50;

pub(super) struct Client {
    id: usize,
    /// Numbers the attempts of all its requests.
    attempts: u64,
    requests: u64,
    current: Option<Current>,
    node: NodeId,
    /// Orders that it placed under a key, and their outcomes.
    placed: Vec<PlaceOrder>,
    /// Reports of payments that it sent.
    reported: Vec<PaymentWebhook>,
    /// Commands that it sent under keys of their own.
    keyed: Vec<Keyed>,
    /// The highest position in its answers.
    position: Position,
    /// After the faults: its last request, which must be answered, however long that takes.
    last: bool,
    pub(super) idle: bool,
}

/// An open request.
struct Current {
    ask: Ask,
    /// Whether it may be sent again.
    repeatable: bool,
    attempt: u64,
    tries: u32,
    in_doubt: bool,
    /// What was acknowledged before this attempt began.
    floor: Position,
}

impl Client {
    pub(super) fn new(id: usize) -> Client {
        Client {
            id,
            attempts: 0,
            requests: 0,
            current: None,
            node: NodeId(1),
            placed: Vec::new(),
            reported: Vec::new(),
            keyed: Vec::new(),
            position: Position(0),
            last: false,
            idle: false,
        }
    }

    /// Begins a request, or continues the one that was postponed.
    pub(super) fn act(&mut self, sim: &mut Sim) {
        if self.current.is_none() {
            if self.idle {
                return;
            }
            self.requests += 1;
            self.last = sim.resting;
            let ask = self.choose(sim);
            let repeatable = may_repeat(&ask);
            let floor = Position(0);
            let current = Current { ask, repeatable, attempt: 0, tries: 0, in_doubt: false, floor };
            self.current = Some(current);
            if sim.random.percent(30) {
                self.move_on(sim);
            }
        }
        self.send(sim);
    }

    /// Makes one more request, after its last one.
    pub(super) fn wake(&mut self, sim: &mut Sim) {
        self.idle = false;
        sim.after(MS, Event::Act { client: self.id });
    }

    fn move_on(&mut self, sim: &mut Sim) {
        self.node = sim.some_node();
    }

    fn send(&mut self, sim: &mut Sim) {
        self.attempts += 1;
        let (client, attempt, node) = (self.id, self.attempts, self.node);
        let Some(current) = &mut self.current else { return };
        current.attempt = attempt;
        current.tries += 1;
        current.floor = sim.oracle.floor();
        sim.cover.retries += u64::from(current.tries > 1);
        let ask = current.ask.clone();
        sim.say(|| format!("c{client} asks n{node} {attempt}: {ask:?}"));
        let patience = sim.plan.request_timeout_ms * MS + SECOND;
        sim.after(patience, Event::GivenUp { client, attempt });
        if sim.random.ppm(sim.plan.client_loss_ppm) {
            return;
        }
        let delay = 50 + sim.random.waiting(500);
        sim.after(delay, Event::Asked { node, client, attempt, ask });
    }

    /// Takes an answer, or a timeout.
    pub(super) fn answered(&mut self, sim: &mut Sim, attempt: u64, reply: Option<Reply>) {
        let Some(current) = &mut self.current else { return };
        if current.attempt != attempt {
            return;
        }
        sim.say(|| format!("c{} hears {attempt}: {reply:?}", self.id));
        match reply {
            Some(Reply::Applied(applied)) => {
                self.position = self.position.max(applied.position);
                if applied.position <= current.floor {
                    let floor = current.floor;
                    let at = applied.position;
                    sim.fail(format!("an answer lies at {at}, but {floor} had been answered"));
                }
                sim.oracle.acknowledged(applied.position);
                for (key, made) in keys_made(&current.ask, &applied.outcome) {
                    let judged = sim.oracle.key_made(key, made);
                    sim.check(judged);
                }
                self.finish(sim);
            }
            Some(Reply::SoldOut { index }) => {
                let floor = current.floor;
                if index < floor.index() {
                    let floor = floor.index();
                    sim.fail(format!("a refusal by index {index}, but {floor} had been answered"));
                }
                sim.oracle.acknowledged(end_of(index));
                self.finish(sim);
            }
            Some(Reply::Read { index }) => self.has_read(sim, index),
            Some(Reply::NotApplied | Reply::ReadRefused | Reply::ConnectionRefused) => {
                self.retry(sim, true);
            }
            Some(Reply::Unknown | Reply::ConnectionReset) | None => {
                current.in_doubt = true;
                let repeatable = current.repeatable;
                self.retry(sim, repeatable);
            }
        }
    }

    fn has_read(&mut self, sim: &mut Sim, index: u64) {
        let Some(current) = &self.current else { return };
        let floor = current.floor.index();
        match &current.ask {
            Ask::Read(what, Freshness::Linearizable) => {
                if index < floor {
                    sim.fail(format!(
                        "{what:?} showed index {index}, but {floor} had been answered before"
                    ));
                }
                sim.oracle.acknowledged(end_of(index));
                self.position = self.position.max(Position::new(index, 0));
            }
            Ask::Read(_, Freshness::Stale) => {
                sim.cover.stale_reads += 1;
                sim.cover.stale_reads_behind += u64::from(index < floor);
            }
            Ask::Read(what, Freshness::AtLeast(position)) => {
                sim.cover.reads_at_position += 1;
                if index < position.index() {
                    sim.fail(format!("{what:?} showed index {index} instead of {position}"));
                }
            }
            Ask::Command(_) => unreachable!("a command is not answered as a read"),
        }
        self.finish(sim);
    }

    /// Sends the request again after a pause, if that is allowed.
    fn retry(&mut self, sim: &mut Sim, allowed: bool) {
        let Some(current) = &mut self.current else { return };
        // From now on, answers to this attempt are ignored.
        current.attempt = 0;
        // At the end every request is answered, so the last one is never given up.
        let enough = current.tries >= sim.plan.attempts_max && !self.last;
        if !allowed || enough {
            sim.cover.left_in_doubt += u64::from(current.in_doubt && !self.last);
            return self.finish(sim);
        }
        self.move_on(sim);
        let delay = 10 * MS + sim.random.waiting(100 * MS);
        sim.after(delay, Event::Act { client: self.id });
    }

    fn finish(&mut self, sim: &mut Sim) {
        self.current = None;
        if self.last {
            self.idle = true;
            return;
        }
        // Nobody pauses for longer than the run lasts.
        let delay = sim.random.waiting(sim.plan.think_us).min(sim.plan.rest / 3);
        sim.after(delay, Event::Act { client: self.id });
    }
}

/// The key of a request that made something, with the id.
fn keys_made<'a>(ask: &'a Ask, outcome: &Outcome) -> Vec<(&'a str, u64)> {
    let made = |outcome: &Outcome| match *outcome {
        Outcome::Placed(OrderId(made))
        | Outcome::Replayed(OrderId(made))
        | Outcome::HoldCreated(HoldId(made))
        | Outcome::HoldReplayed(HoldId(made)) => Some(made),
        _ => None,
    };
    let pair = |key: &'a Option<Box<str>>, outcome| Some((key.as_deref()?, made(outcome)?));
    match (ask, outcome) {
        (Ask::Command(Command::PlaceOrder(place)), outcome) => {
            pair(&place.key, outcome).into_iter().collect()
        }
        (Ask::Command(Command::CreateHold(hold)), outcome) => {
            pair(&hold.key, outcome).into_iter().collect()
        }
        (Ask::Command(Command::PlaceBatch(batch)), Outcome::Batch(outcomes)) => {
            let each = batch.orders.iter().zip(outcomes);
            each.filter_map(|(order, outcome)| pair(&order.key, outcome)).collect()
        }
        _ => Vec::new(),
    }
}

/// Returns whether a request with an unknown outcome may be sent again.
fn may_repeat(ask: &Ask) -> bool {
    let Ask::Command(command) = ask else { return true };
    match command {
        Command::CancelOrder(_)
        | Command::ReleaseHold(_)
        | Command::PaymentWebhook(_)
        | Command::FenceKey(_)
        | Command::SetPayments(_)
        | Command::SetAuth(_)
        | Command::RevokeToken(_)
        | Command::SettleOrder(_)
        | Command::Note(_)
        | Command::RecheckPayment(_)
        | Command::Keyed(_) => true,
        Command::PlaceOrder(place) => place.key.is_some(),
        Command::PlaceBatch(batch) => batch.orders.iter().all(|order| order.key.is_some()),
        Command::CreateHold(hold) => hold.key.is_some(),
        Command::AdjustStock(adjust) => adjust.key.is_some(),
        Command::RequestRefund(refund) => refund.key.is_some(),
        _ => false,
    }
}
