//! What must hold, checked while it happens.
//!
//! The oracle sees everything: each leader, each entry as each node applies it, each answer. The
//! first node to apply an index sets what the entry is and runs the model; all others are compared
//! with it.
//!
//! Linearizability needs no search here, because every answer names its place in the log: an
//! operation that began after another one ended must lie behind it, and what it showed must be what
//! the model has at its place.

use std::collections::BTreeMap;

use engine::command::PlaceOrder;
use engine::event::{Event, HoldChange, Kind, OrderChange};
use engine::hold::Hold;
use engine::ids::{HoldId, NodeId, OrderId, Position, RequestId, Timestamp};
use engine::order::Status;
use engine::outcome::{Outcome, Rejection};
use engine::product;
use engine::state::{Observer, State};
use engine::webhook;
use raft::eraftpb::Entry;
use xxhash_rust::xxh3::xxh3_64;

use super::model::{Model, Predicted};
use crate::replica::{Applied, Effects};

/// The place behind all commands of an entry.
pub(super) fn end_of(index: u64) -> Position {
    Position::new(index, Position::COMMANDS_PER_ENTRY_MAX - 1)
}

/// An entry as the first node that applied it saw it.
#[derive(Debug)]
struct Committed {
    term: u64,
    hash: u64,
    clock: Timestamp,
    digest: u64,
    predicted: Predicted,
}

/// What is known of a request, beside what its node knows.
#[derive(Clone, Copy, Debug, Default)]
struct Fate {
    applied_at: Option<Position>,
    /// Its node said that it certainly never enters the log.
    ruled_out: bool,
    in_doubt: bool,
}

#[derive(Debug, Default)]
pub(super) struct Oracle {
    pub(super) model: Model,
    committed: Vec<Committed>,
    leaders: BTreeMap<u64, NodeId>,
    /// Entries in any log by index and term: a hash of each, and the term of the one before it.
    entries: BTreeMap<(u64, u64), (u64, u64)>,
    requests: BTreeMap<RequestId, Fate>,
    /// The furthest place that an answered operation reached.
    floor: Position,
    /// What each key was acknowledged with: the number of an order or a hold.
    keys: BTreeMap<Box<str>, u64>,
}

/// Watches a node apply one entry, and hands on what the node itself wants to know.
pub(super) struct Witness<'a> {
    effects: &'a mut Effects,
    outcomes: Vec<(Position, RequestId, Outcome)>,
    moves: Vec<(OrderId, Status)>,
    holds: Vec<(HoldId, HoldChange)>,
}

impl<'a> Witness<'a> {
    pub(super) fn new(effects: &'a mut Effects) -> Witness<'a> {
        Witness { effects, outcomes: Vec::new(), moves: Vec::new(), holds: Vec::new() }
    }
}

impl Observer for Witness<'_> {
    fn applied(&mut self, state: &State, position: Position, request: RequestId, outcome: Outcome) {
        self.outcomes.push((position, request, outcome.clone()));
        self.effects.applied(state, position, request, outcome);
    }

    fn event(&mut self, event: Event) {
        if let Kind::Order { order, change, .. } = &event.kind {
            let status = match change {
                OrderChange::Placed => Status::Pending,
                OrderChange::Processing => Status::Processing,
                OrderChange::Paid => Status::Paid,
                OrderChange::Failed { .. } => Status::Failed,
                OrderChange::Cancelled { .. } => Status::Cancelled,
            };
            self.moves.push((*order, status));
        }
        if let Kind::Hold { hold, change, .. } = &event.kind {
            self.holds.push((*hold, *change));
        }
        self.effects.event(event);
    }
}

fn equal<T: PartialEq + std::fmt::Debug>(what: &str, found: T, expected: T) -> Result<(), String> {
    match found == expected {
        true => Ok(()),
        false => Err(format!("{what}: {found:?}, but the model has {expected:?}")),
    }
}

impl Oracle {
    /// A node leads. True when that is new.
    pub(super) fn leads(&mut self, node: NodeId, term: u64) -> Result<bool, String> {
        match self.leaders.insert(term, node) {
            None => Ok(true),
            Some(before) if before == node => Ok(false),
            Some(before) => Err(format!("nodes {before} and {node} both lead in term {term}")),
        }
    }

    /// Log matching: entries of one index and term are the same in all logs, and so are all before
    /// them.
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

    /// A node applied an entry. Gives what the entry does when no node had applied it before.
    pub(super) fn applied(
        &mut self,
        entry: &Entry,
        seen: &Witness<'_>,
        state: &mut State,
    ) -> Result<Option<&Predicted>, String> {
        let index = entry.index;
        let hash = xxh3_64(&entry.data);
        let digest = state.digest();
        let first = index == self.last_index() + 1;
        if first {
            let predicted = self.model.apply(index, &entry.data)?;
            let clock = self.model.clock;
            let committed = Committed { term: entry.term, hash, clock, digest, predicted };
            self.committed.push(committed);
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
        equal(&format!("moves of index {index}"), &seen.moves, &known.predicted.moves)?;
        equal(&format!("holds of index {index}"), &seen.holds, &known.predicted.holds)?;
        equal(&format!("clock after index {index}"), state.clock(), known.clock)?;
        if known.digest != digest {
            return Err(format!(
                "index {index} has the digests {:016x} and {digest:016x}",
                known.digest
            ));
        }
        Ok(first.then_some(&known.predicted))
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

    /// A node opened its checkpoint: it must be what was applied up to there.
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

    /// A node said that this request certainly never enters the log.
    pub(super) fn ruled_out(&mut self, request: RequestId) -> Result<(), String> {
        let fate = self.requests.entry(request).or_default();
        fate.ruled_out = true;
        match fate.applied_at {
            None => Ok(()),
            Some(at) => Err(format!("{request:?} is answered as not applied, but lies at {at}")),
        }
    }

    /// A node gave up waiting for this request's outcome.
    pub(super) fn in_doubt(&mut self, request: RequestId) {
        self.requests.entry(request).or_default().in_doubt = true;
    }

    /// How many requests in doubt were applied, and how many were not.
    pub(super) fn doubts(&self) -> (u64, u64) {
        let doubted = self.requests.values().filter(|fate| fate.in_doubt);
        doubted.fold((0, 0), |(applied, lost), fate| match fate.applied_at {
            Some(_) => (applied + 1, lost),
            None => (applied, lost + 1),
        })
    }

    /// A node answers a request with its outcome.
    pub(super) fn answers(&self, request: RequestId, applied: &Applied) -> Result<(), String> {
        let Applied { position, clock, outcome, order, orders, product } = applied;
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
        Ok(())
    }

    /// A node refuses an order for lack of stock by its state after an index, without an entry.
    pub(super) fn refused_without_entry(
        &self,
        order: &PlaceOrder,
        rejection: &Rejection,
        index: u64,
    ) -> Result<(), String> {
        let at = end_of(index);
        let Rejection::InsufficientStock { product, requested, available } = *rejection else {
            return Err(format!("an order is refused without an entry: {rejection}"));
        };
        let known = self.model.product(product).and_then(|versions| versions.at(at));
        let known = known.filter(|known| !known.archived).map(|known| known.available);
        equal(&format!("stock of product {product} at {at}"), Some(available), known)?;
        let lines = order.lines.iter().filter(|line| line.product == product);
        let asked: u64 = lines.map(|line| u64::from(line.quantity.0)).sum();
        equal(&format!("units of product {product} asked for"), requested, asked)?;
        let used = order.key.as_ref().and_then(|key| self.model.keys.get(key));
        match used.filter(|(since, _)| *since <= at) {
            None if available < requested as i64 => Ok(()),
            None => Err(format!("{requested} of product {product} are there at {at}")),
            Some((_, known)) => Err(format!("{:?} was {known:?} at {at}", order.key)),
        }
    }

    /// The furthest place that an answer reached up to now: whatever begins now lies behind it.
    pub(super) fn floor(&self) -> Position {
        self.floor
    }

    /// A client got an answer that lies here.
    pub(super) fn acknowledged(&mut self, position: Position) {
        self.floor = self.floor.max(position);
    }

    /// A client was told that its key made the order or hold of this number.
    pub(super) fn key_made(&mut self, key: &str, made: u64) -> Result<(), String> {
        match self.keys.insert(key.into(), made) {
            Some(before) if before != made => {
                Err(format!("key {key} made number {before} and number {made}"))
            }
            _ => Ok(()),
        }
    }

    /// An order's row as a node showed it, at a place.
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
        equal(&what("last move"), before, Some(order.status))
    }

    /// A hold's row as a node showed it, at a place.
    pub(super) fn check_hold(&self, hold: &Hold, at: Position) -> Result<(), String> {
        let id = hold.id;
        let known = self.model.hold(id).ok_or_else(|| format!("hold {id} does not exist"))?;
        let term = known.term.at(at).ok_or_else(|| format!("hold {id} does not exist at {at}"))?;
        let what = |field: &str| format!("{field} of hold {id} at {at}");
        equal(&what("status"), hold.status, term.status)?;
        equal(&what("deadline"), hold.expires_at, term.expires_at)?;
        equal(&what("lines"), &hold.lines, &known.lines)?;
        equal(&what("user"), hold.user, known.user)?;
        equal(&what("key"), &hold.key, &known.key)
    }

    /// A product's row as a node showed it, at a place.
    pub(super) fn check_product(
        &self,
        product: &product::Product,
        at: Position,
    ) -> Result<(), String> {
        let id = product.id;
        let known = self.model.product(id).and_then(|versions| versions.at(at));
        let known = known.ok_or_else(|| format!("product {id} does not exist at {at}"))?;
        let what = |field: &str| format!("{field} of product {id} at {at}");
        equal(&what("stock"), product.stock.available(), known.available)?;
        equal(&what("reserved"), product.stock.reserved, known.reserved)?;
        equal(&what("sold"), product.stock.sold, known.sold)?;
        equal(&what("held"), product.stock.held, known.held)?;
        let on_hand = known.available + known.held + known.reserved;
        equal(&what("on hand"), product.stock.on_hand, on_hand)?;
        equal(&what("units brought in"), product.brought_in, known.brought_in)?;
        equal(&what("price"), product.price, known.price)?;
        equal(&what("sku"), &product.sku, &known.sku)?;
        equal(&what("limit per user"), product.max_per_user, known.max_per_user)?;
        equal(&what("archived"), product.archived, known.archived)?;
        equal(&what("version"), product.version, known.version)
    }

    /// Everything that a node holds, against the model.
    pub(super) fn check_all(&self, state: &State) -> Result<(), String> {
        use super::ask::{Look, look};
        state.check_invariants().map_err(|violation| violation.to_string())?;
        let orders = self.model.orders.len() as u64;
        let products = self.model.products.len() as u64;
        for id in 1..=orders + 1 {
            look(self, state, &Look::Order(OrderId(id)))?;
        }
        for id in 1..=products + 1 {
            look(self, state, &Look::Product(engine::ids::ProductId(id)))?;
        }
        for id in 1..=self.model.holds.len() as u64 + 1 {
            look(self, state, &Look::Hold(HoldId(id)))?;
        }
        let told = self.model.told.iter();
        let parked = told.filter(|told| *told.fate.now() == webhook::Fate::Parked).count() as u64;
        equal("parked reports", state.parked_webhooks(), parked)?;
        for key in self.model.keys.keys() {
            look(self, state, &Look::Key(key.clone()))?;
        }
        Ok(())
    }
}
