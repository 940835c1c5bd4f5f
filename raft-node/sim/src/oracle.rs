//! Checks what must hold while a run goes on.
//!
//! The oracle sees everything: each leader, each entry that a node applies, each answer. The first
//! node to apply an index defines the entry and runs the model. All other nodes are compared with
//! it.
//!
//! Linearizability needs no search here, because every answer names its position. An operation that
//! began after another one ended must have a higher position, and what it showed must be what the
//! model has at its position.

mod refusals;

use std::collections::BTreeMap;

use engine::audit;
use engine::event::{Event, EventId};
use engine::hold::Hold;
use engine::ids::{NodeId, Position, RequestId, Timestamp};
use engine::order::Status;
use engine::outcome::Outcome;
use engine::product;
use engine::state::{Observer, State};
use engine::webhook::Webhook;
use engine_model::{Model, Predicted, counters};
use raft::eraftpb::Entry;
use raft_node::replica::{Applied, Effects};
use xxhash_rust::xxh3::xxh3_64;

pub(crate) use self::refusals::Stand;

/// The position behind all commands of an entry.
pub(super) fn end_of(index: u64) -> Position {
    Position::new(index, Position::COMMANDS_PER_ENTRY_MAX - 1)
}

/// An entry, as the first node that applied it saw it.
#[derive(Debug)]
struct Committed {
    term: u64,
    /// The highest term with a leader by then, so at least that of the leader which committed it.
    led: u64,
    hash: u64,
    clock: Timestamp,
    digest: u64,
    predicted: Predicted,
    /// The number of events up to its end.
    told: usize,
}

/// Facts about a request that its node does not know.
#[derive(Clone, Copy, Debug, Default)]
struct Request {
    applied_at: Option<Position>,
    /// Its node reported that it never enters the log.
    ruled_out: bool,
    in_doubt: bool,
}

#[derive(Debug, Default)]
pub(super) struct Oracle {
    pub(super) model: Model,
    /// All events of the model.
    pub(super) events: Vec<Event>,
    committed: Vec<Committed>,
    leaders: BTreeMap<u64, NodeId>,
    /// Entries in any log by index and term, with a hash of each and the term of the entry before
    /// it.
    entries: BTreeMap<(u64, u64), (u64, u64)>,
    requests: BTreeMap<RequestId, Request>,
    /// The highest position of an answered operation.
    floor: Position,
    /// The acknowledged id of each key: an order or a hold.
    keys: BTreeMap<Box<str>, u64>,
}

/// Observes a node apply one entry, and passes on what the node itself observes.
pub(super) struct Witness<'a> {
    effects: &'a mut Effects,
    outcomes: Vec<(Position, RequestId, Outcome)>,
    events: Vec<Event>,
}

impl<'a> Witness<'a> {
    pub(super) fn new(effects: &'a mut Effects) -> Witness<'a> {
        Witness { effects, outcomes: Vec::new(), events: Vec::new() }
    }

    /// The first command that could not be decoded, and what is wrong with its bytes.
    pub(super) fn undecodable(&self) -> Option<&(Position, String)> {
        self.effects.first_undecodable.as_ref()
    }
}

impl Observer for Witness<'_> {
    fn undecodable(&mut self, position: Position, error: &engine::codec::Error) {
        self.effects.undecodable(position, error);
    }

    fn applied(&mut self, state: &State, position: Position, request: RequestId, outcome: Outcome) {
        self.outcomes.push((position, request, outcome.clone()));
        self.effects.applied(state, position, request, outcome);
    }

    fn event(&mut self, event: &Event) {
        self.events.push(event.clone());
        self.effects.event(event);
    }
}

pub(super) fn equal<T: PartialEq + std::fmt::Debug>(
    what: &str,
    found: T,
    expected: T,
) -> Result<(), String> {
    match found == expected {
        true => Ok(()),
        false => Err(format!("{what}: {found:?}, but the model has {expected:?}")),
    }
}

impl Oracle {
    /// Takes a new leader. Returns true if its leadership is new.
    pub(super) fn leads(&mut self, node: NodeId, term: u64) -> Result<bool, String> {
        match self.leaders.insert(term, node) {
            None => Ok(true),
            Some(before) if before == node => Ok(false),
            Some(before) => Err(format!("nodes {before} and {node} both lead in term {term}")),
        }
    }

    /// Log matching: entries with one index and term are the same in all logs, and so are all
    /// entries before them.
    pub(super) fn in_log(&mut self, entry: &Entry, term_before: u64) -> Result<(), String> {
        let seen = (xxh3_64(&entry.data), term_before);
        let known = *self.entries.entry((entry.index, entry.term)).or_insert(seen);
        match known == seen {
            true => Ok(()),
            false => Err(format!(
                "entry {} of term {} follows one of term {term_before} and is another than the one \
                 that follows term {}",
                entry.index, entry.term, known.1
            )),
        }
    }

    /// The last index that any node applied.
    pub(super) fn last_index(&self) -> u64 {
        self.committed.len() as u64
    }

    /// The term of a committed entry.
    pub(super) fn term(&self, index: u64) -> Option<u64> {
        let at = usize::try_from(index.checked_sub(1)?).ok()?;
        self.committed.get(at).map(|committed| committed.term)
    }

    /// The term of an entry that a new leader of `term` must have, because it was committed in an
    /// earlier term. Votes may be so late that a node begins to lead in a term that is over.
    pub(super) fn term_before(&self, index: u64, term: u64) -> Option<u64> {
        let at = usize::try_from(index.checked_sub(1)?).ok()?;
        self.committed.get(at).filter(|known| known.led < term).map(|known| known.term)
    }

    /// Takes an entry that a node applied. Returns the entry's effects if no node had applied it
    /// before.
    pub(super) fn applied(
        &mut self,
        entry: &Entry,
        seen: &Witness<'_>,
        state: &mut State,
    ) -> Result<Option<(&Predicted, &[Event])>, String> {
        let index = entry.index;
        let hash = xxh3_64(&entry.data);
        let digest = state.digest();
        let first = index == self.last_index() + 1;
        if first {
            let mut predicted = self.model.apply(index, &entry.data)?;
            let clock = self.model.clock;
            self.events.append(&mut predicted.events);
            let told = self.events.len();
            let led = self.leaders.last_key_value().map_or(0, |(term, _)| *term);
            let term = entry.term;
            self.committed.push(Committed { term, led, hash, clock, digest, predicted, told });
            self.note_requests(index)?;
        }
        let at = usize::try_from(index).expect("small in memory");
        let known = self.committed.get(at - 1).ok_or("applied an entry beyond all others")?;
        if (known.term, known.hash) != (entry.term, hash) {
            return Err(format!(
                "index {index} was committed twice, in terms {} and {}",
                known.term, entry.term
            ));
        }
        let found = seen.outcomes.iter().map(|(_, request, outcome)| (request, outcome));
        let expected = known.predicted.outcomes.iter().map(|(request, outcome)| (request, outcome));
        if !found.eq(expected) {
            return Err(format!(
                "index {index} had the outcomes {:?}, but by the model {:?}",
                seen.outcomes, known.predicted.outcomes
            ));
        }
        let events = &self.events[self.told_before(index)..known.told];
        equal(&format!("events of index {index}"), &seen.events[..], events)?;
        equal(&format!("clock after index {index}"), state.clock(), known.clock)?;
        if known.digest != digest {
            return Err(format!(
                "index {index} has the digests {:016x} and {digest:016x}",
                known.digest
            ));
        }
        Ok(first.then_some((&known.predicted, events)))
    }

    /// The number of events before an entry.
    fn told_before(&self, index: u64) -> usize {
        let before = usize::try_from(index - 1).expect("small in memory");
        before.checked_sub(1).map_or(0, |at| self.committed[at].told)
    }

    /// The number of events up to the end of an entry, and the clock there.
    pub(super) fn told_at(&self, index: u64) -> (usize, Timestamp) {
        let clock = self.committed[..index as usize].last().map(|committed| committed.clock);
        (self.told_before(index + 1), clock.unwrap_or_default())
    }

    fn note_requests(&mut self, index: u64) -> Result<(), String> {
        let committed = self.committed.last().expect("it was just pushed");
        for (n, (request, outcome)) in (0..).zip(&committed.predicted.outcomes) {
            let fate = self.requests.entry(*request).or_default();
            if fate.ruled_out {
                return Err(format!(
                    "{request:?} was answered as not applied, but index {index} \
                    holds it"
                ));
            }
            if *outcome != Outcome::Ignored
                && let Some(before) = fate.applied_at.replace(Position::new(index, n))
            {
                return Err(format!("{request:?} was applied at {before} and again at {index}"));
            }
        }
        Ok(())
    }

    /// Checks an opened checkpoint: it must be what was applied up to its index.
    pub(super) fn opened(&self, state: &mut State) -> Result<(), String> {
        let index = state.applied_index();
        if index == 0 {
            return Ok(());
        }
        let at = usize::try_from(index).expect("small in memory");
        let known =
            self.committed.get(at - 1).ok_or("a checkpoint is beyond all that was applied")?;
        if known.digest != state.digest() {
            return Err(format!("the checkpoint at index {index} is not what was applied"));
        }
        Ok(())
    }

    /// Records a node's promise that this request never enters the log.
    pub(super) fn ruled_out(&mut self, request: RequestId) -> Result<(), String> {
        let fate = self.requests.entry(request).or_default();
        fate.ruled_out = true;
        match fate.applied_at {
            None => Ok(()),
            Some(at) => Err(format!("{request:?} is answered as not applied, but lies at {at}")),
        }
    }

    /// Records that a node gave up waiting for this request's outcome.
    pub(super) fn in_doubt(&mut self, request: RequestId) {
        self.requests.entry(request).or_default().in_doubt = true;
    }

    /// The number of requests in doubt that were applied, and that were not.
    pub(super) fn doubts(&self) -> (u64, u64) {
        let doubted = self.requests.values().filter(|fate| fate.in_doubt);
        doubted.fold((0, 0), |(applied, lost), fate| match fate.applied_at {
            Some(_) => (applied + 1, lost),
            None => (applied, lost + 1),
        })
    }

    /// Checks a node's answer to a request.
    pub(super) fn answers(&self, request: RequestId, applied: &Applied) -> Result<(), String> {
        let Applied { position, clock, outcome, order, orders, product, hold } = applied;
        let at = usize::try_from(position.index()).expect("small in memory");
        let known = at.checked_sub(1).and_then(|at| self.committed.get(at));
        let known = known.ok_or_else(|| format!("an answer lies at {position}, beyond the log"))?;
        let expected = known.predicted.outcomes.get(position.command() as usize);
        equal(&format!("answer at {position}"), Some(&(request, outcome.clone())), expected)?;
        equal(&format!("clock of the answer at {position}"), *clock, known.clock)?;
        if *outcome == Outcome::Ignored {
            return Err(format!("{request:?} was answered with the outcome of its second copy"));
        }
        for order in order.iter().map(|order| &**order).chain(orders) {
            self.check_order(order, *position)?;
        }
        if let Some(product) = product {
            self.check_product(product, *position)?;
        }
        if let Some(hold) = hold {
            self.check_hold(hold, *position)?;
        }
        Ok(())
    }

    /// The highest position of an answer so far. Every operation that begins now must have a higher
    /// one.
    pub(super) fn floor(&self) -> Position {
        self.floor
    }

    /// Takes the position of an answer to a client.
    pub(super) fn acknowledged(&mut self, position: Position) {
        self.floor = self.floor.max(position);
    }

    /// Takes a client's answer: its key made the order or hold with this id.
    pub(super) fn key_made(&mut self, key: &str, made: u64) -> Result<(), String> {
        match self.keys.insert(key.into(), made) {
            Some(before) if before != made => {
                Err(format!("key {key} made number {before} and number {made}"))
            }
            _ => Ok(()),
        }
    }

    /// Compares an order's row that a node showed with the model at a position.
    pub(super) fn check_order(
        &self,
        order: &engine::order::Order,
        at: Position,
    ) -> Result<(), String> {
        let id = order.id;
        let known = self.model.order(id).ok_or_else(|| format!("order {id} does not exist"))?;
        let progress = known.progress.at(at);
        let progress = progress.ok_or_else(|| format!("order {id} does not exist at {at}"))?;
        let what = |field: &str| format!("{field} of order {id} at {at}");
        equal(&what("status"), order.status, progress.status)?;
        equal(&what("total"), order.total, known.total)?;
        equal(&what("key"), &order.key, &known.key)?;
        equal(&what("user"), order.user, known.user)?;
        equal(&what("hold"), order.hold, known.request.hold)?;
        equal(&what("deadline"), order.payment_deadline, known.deadline)?;
        equal(&what("method"), order.payment_method, known.request.method)?;
        equal(&what("metadata"), &order.metadata, &known.request.metadata)?;
        equal(&what("reference"), &order.reference, &known.request.reference)?;
        equal(&what("trace"), &order.trace, &known.trace)?;
        equal(&what("reason"), &order.failure_reason, &progress.failure_reason)?;
        equal(&what("version"), Some(order.version), known.progress.since(at))?;
        let times = (order.created_at, order.updated_at);
        equal(&what("times"), times, (known.created_at, progress.updated_at))?;
        let lines = order.items.iter().map(|item| (item.product, item.quantity, item.unit_price));
        let ordered = known.lines.iter().zip(&known.prices);
        let ordered = ordered.map(|(line, price)| (line.product, line.quantity, *price));
        if !lines.eq(ordered) {
            return Err(format!("the lines of order {id} are {:?}", order.items));
        }
        if let Some(task) = &order.task {
            equal(&what("attempt"), task.attempt, progress.attempt)?;
            equal(&what("tries"), task.unanswered, progress.unanswered)?;
            equal(&what("due time"), task.due, progress.due)?;
            let claimed_by = task.claim.map(|claim| claim.node);
            equal(&what("claim"), claimed_by, progress.claimed_by)?;
        }
        let moves = order.history.iter().map(|row| (row.from, row.to));
        let mut before = None;
        for (from, to) in moves {
            let legal = match before {
                None => to == Status::Pending,
                Some(Status::Pending) => matches!(to, Status::Processing | Status::Cancelled),
                Some(Status::Processing) => matches!(to, Status::Paid | Status::Failed),
                Some(_) => false,
            };
            if from != before || !legal {
                return Err(format!("order {id} went from {from:?} to {to}"));
            }
            before = Some(to);
        }
        equal(&what("last move"), before, Some(order.status))?;
        let first = order.history.first().map(|row| (row.position, row.at));
        equal(&what("first move"), first, Some((known.placed, known.created_at)))
    }

    /// Compares a hold's row that a node showed with the model at a position.
    pub(super) fn check_hold(&self, hold: &Hold, at: Position) -> Result<(), String> {
        let id = hold.id;
        let known = self.model.hold(id).ok_or_else(|| format!("hold {id} does not exist"))?;
        let term = known.term.at(at).ok_or_else(|| format!("hold {id} does not exist at {at}"))?;
        let what = |field: &str| format!("{field} of hold {id} at {at}");
        equal(&what("status"), hold.status, term.status)?;
        equal(&what("deadline"), hold.expires_at, term.expires_at)?;
        equal(&what("lines"), &hold.lines, &known.lines)?;
        equal(&what("user"), hold.user, known.user)?;
        equal(&what("version"), Some(hold.version), known.term.since(at))?;
        let times = (hold.created_at, hold.updated_at);
        equal(&what("times"), times, (known.created_at, term.updated_at))?;
        equal(&what("key"), &hold.key, &known.key)
    }

    /// Compares a report's row that a node showed with the model at a position.
    pub(super) fn check_report(&self, row: &Webhook, at: Position) -> Result<(), String> {
        let id = row.id;
        let known = usize::try_from(id.0 - 1).ok().and_then(|at| self.model.reports.get(at));
        let known = known.ok_or_else(|| format!("report {id} does not exist"))?;
        let fate = known.fate.at(at).ok_or_else(|| format!("no report {id} at {at}"))?;
        let what = |field: &str| format!("{field} of report {id} at {at}");
        equal(&what("fate"), row.fate, *fate)?;
        equal(&what("key"), &row.key, &known.key)?;
        equal(&what("order"), row.order, known.order)?;
        equal(&what("report"), row.report, known.report)?;
        equal(&what("amount"), row.amount, known.amount)?;
        equal(&what("payload"), &row.payload, &known.payload)?;
        equal(&what("waiting time"), row.parked_until, known.parked_until)
    }

    /// Compares a product's row that a node showed with the model at a position.
    pub(super) fn check_product(
        &self,
        product: &product::Product,
        at: Position,
    ) -> Result<(), String> {
        let id = product.id;
        let known = self.model.product(id).and_then(|versions| versions.at(at));
        let known = known.ok_or_else(|| format!("product {id} does not exist at {at}"))?;
        let what = |field: &str| format!("{field} of product {id} at {at}");
        let stock = &product.stock;
        equal(&what("stock"), stock.available(), known.available)?;
        let counted = [stock.on_hand, stock.held, stock.reserved, stock.sold];
        equal(&what("counters"), counted, counters(known))?;
        equal(&what("name"), &product.name, &known.name)?;
        equal(&what("limit per order"), product.max_per_order, known.max_per_order)?;
        equal(&what("threshold"), product.low_stock, known.low_stock)?;
        equal(&what("units brought in"), product.brought_in, known.brought_in)?;
        equal(&what("price"), product.price, known.price)?;
        equal(&what("sku"), &product.sku, &known.sku)?;
        equal(&what("limit per user"), product.max_per_user, known.max_per_user)?;
        equal(&what("archived"), product.archived, known.archived)?;
        equal(&what("version"), product.version, known.version)
    }

    /// Compares the business counters with the orders.
    pub(super) fn check_totals(&self, state: &State) -> Result<(), String> {
        let totals = state.totals();
        let ended = |status| {
            let orders = self.model.orders.iter();
            orders.filter(move |order| order.progress.now().status == status)
        };
        let counted = |status| ended(status).count() as u64;
        equal("orders created", totals.orders_created, self.model.orders.len() as u64)?;
        equal("orders paid", totals.orders_paid, counted(Status::Paid))?;
        equal("orders failed", totals.orders_failed, counted(Status::Failed))?;
        equal("orders cancelled", totals.orders_cancelled, counted(Status::Cancelled))?;
        let lines = ended(Status::Paid).flat_map(|order| &order.lines);
        let units = lines.map(|line| u64::from(line.quantity.0)).sum();
        equal("units sold", totals.units_sold, units)?;
        let revenue: i64 = ended(Status::Paid).map(|order| order.total.0).sum();
        equal("revenue", totals.revenue_minor, revenue as u64)?;
        equal("holds", totals.holds_created, self.model.holds.len() as u64)?;
        equal("adjustments", totals.stock_adjustments, self.model.adjustments.len() as u64)?;
        for kind in audit::Kind::ALL {
            if !state.audit(kind, 0).eq(self.model.audit(kind)) {
                return Err(format!("the audit of {} is not what was done", kind.as_str()));
            }
        }
        Ok(())
    }

    /// The events that are gone after a node applied an entry, for this retention: their number,
    /// and the newest of them.
    pub(super) fn gone_at(&self, index: u64, kept_max: u64, kept_ms: u64) -> (usize, EventId) {
        /// Events are removed in whole chunks.
        const CHUNK: usize = 256;
        let (told, clock) = self.told_at(index);
        let chunks = told / CHUNK;
        let too_many = chunks.saturating_sub((kept_max / CHUNK as u64) as usize);
        let is_old =
            |chunk: usize| self.events[(chunk + 1) * CHUNK - 1].at.plus_ms(kept_ms) < clock;
        let too_old = (0..chunks).rev().find(|chunk| is_old(*chunk)).map_or(0, |last| last + 1);
        let gone = too_many.max(too_old) * CHUNK;
        (gone, gone.checked_sub(1).map_or(EventId::default(), |last| self.events[last].id()))
    }
}
