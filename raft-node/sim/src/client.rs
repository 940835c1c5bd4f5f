//! A client: one request after the other, retried as the typed client crate does it.
//!
//! A request that certainly was not applied may be sent again. One whose outcome is unknown only
//! when that can do no harm: reads, cancels, and orders under an idempotency key.

mod choose;

use engine::command::{Command, PaymentWebhook, PlaceOrder};
use engine::ids::{HoldId, NodeId, OrderId, Position};
use engine::outcome::Outcome;

use super::ask::{Ask, Freshness, Reply};
use super::oracle::end_of;
use crate::event::Event;
use crate::sim::Sim;
use crate::time::{MS, SECOND};

/// Orders of its own that a client remembers for replays and cancels.
const REMEMBERED_MAX: usize = 50;

pub(super) struct Client {
    id: usize,
    /// Numbers the attempts of all its requests.
    attempts: u64,
    requests: u64,
    current: Option<Current>,
    node: NodeId,
    /// Orders it asked for under a key, and what came of them.
    placed: Vec<PlaceOrder>,
    /// Reports of payments that it told.
    reported: Vec<PaymentWebhook>,
    /// The furthest position that it was told.
    position: Position,
    /// After the faults: its last request, which has to be answered however long it takes.
    last: bool,
    pub(super) idle: bool,
}

/// A request on its way.
struct Current {
    ask: Ask,
    /// Sending it again can do no harm.
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
            position: Position(0),
            last: false,
            idle: false,
        }
    }

    /// Begins a request, or goes on with the one that was put off.
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

    /// Asks once more, after its last request.
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

    /// An answer, or none in time.
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

    /// Sends it again after a while, if that is allowed.
    fn retry(&mut self, sim: &mut Sim, allowed: bool) {
        let Some(current) = &mut self.current else { return };
        // No answer counts for this attempt any more.
        current.attempt = 0;
        // In the end every request is answered, so the last one is not given up.
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
        // Nobody thinks for so long that the run ends first.
        let delay = sim.random.waiting(sim.plan.think_us).min(sim.plan.rest / 3);
        sim.after(delay, Event::Act { client: self.id });
    }
}

/// The keys of a request that made something, with its number.
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

/// Whether sending it again does no harm when its outcome is unknown.
fn may_repeat(ask: &Ask) -> bool {
    let Ask::Command(command) = ask else { return true };
    match command {
        Command::CancelOrder(_)
        | Command::ReleaseHold(_)
        | Command::PaymentWebhook(_)
        | Command::FenceKey(_)
        | Command::SetPayments(_) => true,
        Command::PlaceOrder(place) => place.key.is_some(),
        Command::PlaceBatch(batch) => batch.orders.iter().all(|order| order.key.is_some()),
        Command::CreateHold(hold) => hold.key.is_some(),
        Command::AdjustStock(adjust) => adjust.key.is_some(),
        _ => false,
    }
}
