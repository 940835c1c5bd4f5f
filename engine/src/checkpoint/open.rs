//! Reading the state back and trusting nothing: the checksum of every row, the shape of the whole,
//! the digest and the invariants are checked before anybody gets the state.

use crate::adjustment::Adjustment;
use crate::apply::context::FETCHED_AT_ONCE;
use crate::apply::plan::{Demand, demands, demands_of};
use crate::audit::{self, Audit};
use crate::auth::Token;
use crate::checkpoint::ahead::{Inline, ReadAhead};
use crate::checkpoint::chunks::{Leftovers, ReadChunk, read_chunks};
use crate::checkpoint::ledgers::{ReadLedgers, read_ledgers};
use crate::checkpoint::products::{StoredProducts, read_products, single_rows};
use crate::checkpoint::read::{
    decode, inconsistent, read_auth, read_level, read_meta, read_row_or_default, row_error, scan,
    scan_keys,
};
use crate::checkpoint::rows::{Meta, key};
use crate::codec::{self, ROW_VERSION};
use crate::digest::RowHasher;
use crate::event::Event;
use crate::fence::Fence;
use crate::hold::Hold;
use crate::ids::{TokenId, UserId, WebhookId};
use crate::keyed::{Kept, KeyedResults};
use crate::keys::{self, KeyHash, Keys, Rule, Scope, Used};
use crate::order::{Order, Status};
use crate::packed::{EventRows, Span};
use crate::refund::{self, Facts, Refund};
use crate::rolling::{Origin, Source};
use crate::state::State;
use crate::store::CheckpointStore;
use crate::tokens::Tokens;
use crate::user::User;
use crate::webhook::{Fate, Webhook};

pub use crate::checkpoint::read::Error;

impl State {
    /// Reads the last published checkpoint; an empty state when there is none.
    ///
    /// # Errors
    /// When the store cannot be read or anything in it differs from what was written.
    pub fn open(store: &dyn CheckpointStore) -> Result<State, Error> {
        State::open_ahead(store, &Inline)
    }

    /// Like [`State::open`], with a caller that reads ahead.
    ///
    /// # Errors
    /// As [`State::open`].
    pub fn open_ahead(store: &dyn CheckpointStore, ahead: &impl ReadAhead) -> Result<State, Error> {
        let Some(bytes) = store.get(key::META)? else { return State::open_unpublished(store) };
        let meta = read_meta(&bytes)?;
        let mut state = State {
            applied_index: meta.applied_index,
            applied_term: meta.applied_term,
            position: meta.position,
            clock: meta.clock,
            sessions: meta.sessions.clone(),
            totals: meta.totals.clone(),
            lineage: read_row_or_default(store, key::LINEAGE)?,
            level: read_level(store)?,
            key_scheme: read_row_or_default(store, key::KEY_SCHEME)?,
            ..State::new()
        };
        if state.level() > 0 {
            let short = read_row_or_default(store, key::SHORT_MEANINGS)?;
            state.keys = Keys::keyed(&state.level.secret, short);
        }
        let rule = state.keys.rule();
        let names_of = |order: &Order| names_of(order, rule);
        state.read_products(store, &meta, ahead)?;
        state.read_users(store, &meta)?;
        state.tokens = read_tokens(store, &mut state.hasher)?;
        state.audit = read_audit(store, &mut state.hasher)?;
        state.keyed = read_keyed(store, &mut state.hasher)?;
        let leftovers = [
            read_chunks(store, &meta, ahead, names_of, |chunk| state.read_orders(chunk))?,
            read_chunks(store, &meta, ahead, |_| (), |chunk| state.read_holds(chunk))?,
            read_chunks(store, &meta, ahead, |_| (), |chunk| state.read_webhooks(chunk))?,
            read_chunks(store, &meta, ahead, |_| (), |chunk| state.read_refunds(chunk))?,
            read_chunks(store, &meta, ahead, |_| (), |chunk| state.read_adjustments(chunk))?,
            read_chunks(store, &meta, ahead, |_| (), |chunk| state.read_fences(chunk))?,
        ];
        state.generation = meta.checkpoint;
        for Leftovers { dead, latest } in leftovers {
            state.generation = state.generation.max(latest);
            state.dead.found(dead);
        }
        state.read_events(store, &meta)?;
        let computed = state.digest();
        if computed != meta.digest {
            return Err(Error::Digest { stored: meta.digest, computed });
        }
        #[cfg(feature = "planted-bugs")]
        if crate::planted::is_planted(crate::planted::Bug::KeysForgotten)
            || crate::planted::is_planted(crate::planted::Bug::ReferenceForgotten)
        {
            return Ok(state);
        }
        state.check_invariants()?;
        state.orders.pack_restored();
        Ok(state)
    }

    /// The state of a store in which nothing was ever published. Staged rows do not count.
    fn open_unpublished(store: &dyn CheckpointStore) -> Result<State, Error> {
        let mut state = State::new();
        scan_keys(store, &[], |key, _| {
            state.dead.found([key.to_vec()]);
            Ok(())
        })?;
        Ok(state)
    }

    fn read_products(
        &mut self,
        store: &dyn CheckpointStore,
        meta: &Meta,
        ahead: &impl ReadAhead,
    ) -> Result<(), Error> {
        let read = read_products(store, meta, |row| row, |_, _| Ok(()))?;
        let StoredProducts { rows, blocks, leftovers } = read;
        self.dead.found(leftovers);
        let ReadLedgers { ledgers, sum, leftovers } = read_ledgers(store, meta, &rows, ahead)?;
        self.dead.found(leftovers);
        for (row, ledger) in rows.into_iter().zip(ledgers) {
            self.products.restore(row.product, &row.tail.0, ledger, &mut self.hasher);
        }
        self.products.restore_ledgers(sum, meta.ledger_blocks.max(1));
        self.products.restore_blocks(blocks, meta.blocks.max(1), single_rows(store)?);
        Ok(())
    }

    fn read_users(&mut self, store: &dyn CheckpointStore, meta: &Meta) -> Result<(), Error> {
        scan(store, key::USER, |[id], key, bytes| {
            if id > meta.users {
                return Ok(());
            }
            let user: User = decode(key, bytes)?;
            if user.id != UserId(id) || id != self.users.len() as u64 + 1 {
                return Err(inconsistent(format!("user row {}", key::name(key))));
            }
            self.users.restore(user, &mut self.hasher);
            Ok(())
        })?;
        match self.users.len() as u64 == meta.users {
            true => Ok(()),
            false => Err(inconsistent(format!("{} users of {}", self.users.len(), meta.users))),
        }
    }

    /// Restores the orders of a chunk.
    fn read_orders(&mut self, chunk: ReadChunk<Order, OrderNames>) -> Result<(), Error> {
        let ReadChunk { rows, hashes, prepared: keys, open } = chunk;
        for (rows, keys) in rows.chunks(FETCHED_AT_ONCE).zip(keys.chunks(FETCHED_AT_ONCE)) {
            // Prefetch what all of them need, as placing orders does, so that cache misses overlap.
            for (order, key) in rows.iter().zip(keys) {
                let products = order.items.iter().map(|item| item.product);
                self.fetch_order(key.key.map(|key| key.name), order.user, products);
            }
            for (order, key) in rows.iter().zip(keys) {
                self.read_order(order, *key)?;
            }
        }
        self.orders.restore(rows, hashes, open);
        Ok(())
    }

    /// Restores every index of an order.
    fn read_order(&mut self, order: &Order, names: OrderNames) -> Result<(), Error> {
        let id = order.id;
        let OrderNames { key, reference } = names;
        #[cfg(feature = "planted-bugs")]
        let reference = reference
            .filter(|_| !crate::planted::is_planted(crate::planted::Bug::ReferenceForgotten));
        if reference.is_some_and(|name| !self.keys.insert(name, Used::by(id))) {
            return Err(inconsistent(format!("order {id} has the reference of another")));
        }
        #[cfg(feature = "planted-bugs")]
        let key = key.filter(|_| !crate::planted::is_planted(crate::planted::Bug::KeysForgotten));
        if let Some(OrderKey { name, fingerprint }) = key {
            let used = Used { id: id.0, fingerprint };
            if !self.keys.insert(name, used) {
                return Err(inconsistent(format!("order {id} has the key of another")));
            }
        }
        let products = order.products();
        if let Some(product) = products.iter().find(|id| self.products.entry(**id).is_none()) {
            return Err(inconsistent(format!("order {id} is of no product {product}")));
        }
        if !order.status.is_final() {
            if let Some(task) = &order.task {
                if !order.payment_method.has_worker() {
                    return Err(inconsistent(format!("order {id} has a payment task")));
                }
                self.tasks.insert(order.payment_method, task.due, id);
            }
            if let Some(deadline) = order.payment_deadline {
                self.deadlines.insert(deadline, id);
            }
        }
        if !matches!(order.status, Status::Cancelled | Status::Failed) {
            let source = Source::Order(id);
            let origin = Origin { at: order.created_at, position: order.placed(), source };
            for demand in demands(order.items.iter().map(|item| (item.product, item.quantity))) {
                self.take(order.user, origin, demand);
            }
        }
        self.orders.restore_status(order.status);
        let statuses = self.orders.statuses();
        if let Some(user) = order.user {
            self.users.post(user, id, statuses);
        }
        for product in &products {
            self.products.post(*product, id, statuses);
        }
        Ok(())
    }

    /// Restores holds with their indexes.
    fn read_holds(&mut self, chunk: ReadChunk<Hold, ()>) -> Result<(), Error> {
        #[cfg(feature = "planted-bugs")]
        let mut chunk = chunk;
        #[cfg(feature = "planted-bugs")]
        if crate::planted::is_planted(crate::planted::Bug::FrozenPriceLost) {
            chunk.rows.iter_mut().for_each(|hold| hold.unit_prices = None);
        }
        for hold in &chunk.rows {
            let id = hold.id;
            if let Some(key) = &hold.key {
                let used = self.keys.used(Scope::Hold, id.0, &keys::of_hold_row(hold));
                if !self.keys.insert(KeyHash::of(Scope::Hold, key), used) {
                    return Err(inconsistent(format!("hold {id} has the key of another")));
                }
            }
            if let Some(line) =
                hold.lines.iter().find(|line| self.products.entry(line.product).is_none())
            {
                return Err(inconsistent(format!("hold {id} is of no product {}", line.product)));
            }
            if !hold.status.is_final() {
                for demand in demands_of(&hold.lines) {
                    if let Some(user) = hold.user {
                        self.held.add(demand.product, user, demand.units);
                    }
                    let source = Source::Hold(id);
                    let origin = Origin { at: hold.created_at, position: hold.created, source };
                    self.take(hold.user, origin, demand);
                }
            }
        }
        self.holds.restore(chunk.rows, chunk.hashes, chunk.open);
        Ok(())
    }

    /// Restores payment reports with their keys.
    fn read_webhooks(&mut self, chunk: ReadChunk<Webhook, ()>) -> Result<(), Error> {
        for webhook in &chunk.rows {
            let id = webhook.id;
            let (order, report, amount) = (webhook.order, webhook.report, webhook.amount);
            let key = KeyHash::of(Scope::Webhook, &webhook.key);
            // A report that found no order may have arrived again.
            let before = self.keys.get(key).and_then(|used| self.webhooks.fate(WebhookId(used.id)));
            if before.is_some_and(|fate| fate != Fate::Unmatched) {
                return Err(inconsistent(format!("webhook {id} has the key of another")));
            }
            let meaning = keys::of_webhook(order, report, amount);
            self.keys.insert(key, self.keys.used(Scope::Webhook, id.0, &meaning));
            if webhook.fate == Fate::Parked && self.orders.status(order).is_some() {
                return Err(inconsistent(format!("webhook {id} waits for order {order}")));
            }
            self.webhooks.note(webhook);
        }
        self.webhooks.restore(chunk.rows, chunk.hashes, chunk.open);
        Ok(())
    }

    /// Restores refunds with their keys, and takes the units that came back from their customers.
    fn read_refunds(&mut self, chunk: ReadChunk<Refund, ()>) -> Result<(), Error> {
        for refund in &chunk.rows {
            let (id, order) = (refund.id, refund.order);
            if self.orders.status(order) != Some(Status::Paid) {
                return Err(inconsistent(format!("refund {id} is of order {order}")));
            }
            let count = refund.facts.items.len();
            let is_line = |line: &refund::Line| (1..=count).contains(&(line.line as usize));
            if !refund.lines.iter().all(is_line) {
                return Err(inconsistent(format!("refund {id} has lines that do not exist")));
            }
            if let Some(key) = &refund.key {
                let used = self.keys.used(Scope::Refund, id.0, &keys::of_refund_row(refund));
                if !self.keys.insert(KeyHash::of(Scope::Refund, key), used) {
                    return Err(inconsistent(format!("refund {id} has the key of another")));
                }
            }
            for (product, units) in refund.restocked() {
                if self.products.entry(product).is_none() {
                    return Err(inconsistent(format!("refund {id} is of no product {product}")));
                }
                let Facts { user, placed, .. } = refund.facts;
                self.untake(user, Source::Order(order), placed, Demand { product, units });
            }
        }
        self.refunds.restore(chunk.rows, chunk.hashes, chunk.open);
        Ok(())
    }

    /// Restores adjustments with their keys.
    fn read_adjustments(&mut self, chunk: ReadChunk<Adjustment, ()>) -> Result<(), Error> {
        for adjustment in &chunk.rows {
            let id = adjustment.id;
            if let Some(key) = &adjustment.key {
                let meaning = keys::of_adjustment_row(adjustment);
                let used = self.keys.used(Scope::Adjustment, id.0, &meaning);
                if !self.keys.insert(KeyHash::of(Scope::Adjustment, key), used) {
                    return Err(inconsistent(format!("adjustment {id} has the key of another")));
                }
            }
        }
        self.adjustments.restore(chunk.rows, chunk.hashes, chunk.open);
        Ok(())
    }

    /// Restores fenced keys.
    fn read_fences(&mut self, chunk: ReadChunk<Fence, ()>) -> Result<(), Error> {
        for fence in &chunk.rows {
            if !self.keys.insert(KeyHash::of(Scope::Order, &fence.key), Used::FENCED) {
                return Err(inconsistent(format!("fence {} is of a key that was used", fence.id)));
            }
        }
        self.fences.restore(chunk.rows, chunk.hashes, chunk.open);
        Ok(())
    }

    /// Restores the events: the newest chunk, and the spans of all others.
    fn read_events(&mut self, store: &dyn CheckpointStore, meta: &Meta) -> Result<(), Error> {
        let extent = meta.events;
        let mut spans = Vec::new();
        let mut lowest = u64::MAX;
        scan(store, key::EVENTS, |[number], key, bytes| {
            lowest = lowest.min(number);
            // Staged and never published, or not removed yet.
            if !extent.full().contains(&number) {
                return Ok(());
            }
            let span: Option<Span> =
                codec::decode_row_start(ROW_VERSION, bytes).map_err(row_error(key))?;
            let next = extent.first + spans.len() as u64;
            spans.push(
                span.filter(|_| number == next).ok_or_else(|| {
                    inconsistent(format!("event chunk {next} is missing or empty"))
                })?,
            );
            Ok(())
        })?;
        if spans.len() != extent.full().count() {
            let (found, all) = (spans.len(), extent.full().count());
            return Err(inconsistent(format!("{found} event chunks of {all}")));
        }
        let tail: Vec<Event> = match store.get(key::EVENTS_TAIL)? {
            None => Vec::new(),
            Some(bytes) => decode::<EventRows>(key::EVENTS_TAIL, &bytes)?.0,
        };
        if tail.len() != extent.tail() {
            let (found, all) = (tail.len(), extent.tail());
            return Err(inconsistent(format!("{found} newest events of {all}")));
        }
        self.events.restore(extent, spans.into_iter(), &tail, lowest);
        Ok(())
    }
}

/// Reads the mode and the tokens.
fn read_tokens(store: &dyn CheckpointStore, hasher: &mut RowHasher) -> Result<Tokens, Error> {
    let head = read_auth(store)?;
    let mut tokens: Vec<Token> = Vec::new();
    scan(store, key::TOKEN, |[id], key, bytes| {
        let token: Token = decode(key, bytes)?;
        if token.id != TokenId(id) {
            return Err(inconsistent(format!("token row {}", key::name(key))));
        }
        tokens.push(token);
        Ok(())
    })?;
    Tokens::restore(head, tokens, hasher).ok_or_else(|| inconsistent("tokens that never were"))
}

/// Reads the audit.
fn read_audit(store: &dyn CheckpointStore, hasher: &mut RowHasher) -> Result<Audit, Error> {
    let mut rows: Vec<audit::Row> = Vec::new();
    scan(store, key::AUDIT, |[place], key, bytes| {
        let row: audit::Row = decode(key, bytes)?;
        if row.place() != place {
            return Err(inconsistent(format!("audit row {}", key::name(key))));
        }
        rows.push(row);
        Ok(())
    })?;
    Audit::of(rows, hasher).ok_or_else(|| inconsistent("an audit with gaps"))
}

/// Reads the keys of commands whose rows have none.
fn read_keyed(store: &dyn CheckpointStore, hasher: &mut RowHasher) -> Result<KeyedResults, Error> {
    let mut all: Vec<Kept> = Vec::new();
    scan(store, key::KEYED, |[_], key, bytes| {
        all.append(&mut decode(key, bytes)?);
        Ok(())
    })?;
    KeyedResults::restore(all, hasher).ok_or_else(|| inconsistent("keys that never were"))
}

/// The names by which an order is found.
#[derive(Clone, Copy, Debug)]
struct OrderNames {
    key: Option<OrderKey>,
    reference: Option<KeyHash>,
}

/// The key that made an order, and the hashed meaning of the request.
#[derive(Clone, Copy, Debug)]
struct OrderKey {
    name: KeyHash,
    fingerprint: u64,
}

fn names_of(order: &Order, rule: Rule) -> OrderNames {
    let name = |scope| move |text: &str| KeyHash::of(scope, text);
    let key = order.key.as_deref().map(name(Scope::Order));
    let fingerprint = || {
        let meaning = keys::of_order_row(order);
        rule.fingerprint(Scope::Order, order.id.0, &meaning)
    };
    OrderNames {
        key: key.map(|name| OrderKey { name, fingerprint: fingerprint() }),
        reference: order.reference.as_deref().map(name(Scope::Reference)),
    }
}
