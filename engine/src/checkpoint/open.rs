//! Reading the state back, believing nothing: every row's checksum, the shape of the whole, the
//! digest and the invariants are checked before the state is handed out.

use std::collections::BTreeMap;

use bincode::Decode;
use smallvec::SmallVec;

use crate::adjustment::Adjustment;
use crate::apply::FETCHED_AT_ONCE;
use crate::apply::plan::{demands, demands_of};
use crate::checkpoint::CheckpointStore;
use crate::checkpoint::products::{ReadProduct, StoredProducts, read_products, single_rows};
use crate::checkpoint::rows::{Meta, Stored, key};
use crate::chunks::Chunk;
use crate::codec::{self, ROW_VERSION};
use crate::event::Event;
use crate::events::Span;
use crate::fence::Fence;
use crate::hold::Hold;
use crate::ids::{UserId, WebhookId};
use crate::invariants::Violation;
use crate::keys::{self, KeyHash, Scope, Used};
use crate::lineage::Lineage;
use crate::order::{Order, Status};
use crate::packed::{EventRows, LedgerRows};
use crate::product::Counters;
use crate::products::{LOCATION, SEGMENT_ROWS};
use crate::state::State;
use crate::store;
use crate::user::User;
use crate::webhook::{Fate, Webhook};

/// Why a store does not give a state. The caller sets the store aside; it never goes on with a
/// part.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store itself cannot be read.
    #[error("the checkpoint cannot be read")]
    Store(#[from] store::Error),
    /// A row cannot be decoded.
    #[error("the row {key} is damaged")]
    Row {
        /// The row, readable.
        key: String,
        /// What is wrong with its bytes.
        source: codec::Error,
    },
    /// The layout is of a version that this build does not know.
    #[error("unknown checkpoint format {0}")]
    UnknownFormat(u32),
    /// A row is missing, superfluous or contradicts another.
    #[error("the checkpoint contradicts itself: {0}")]
    Inconsistent(String),
    /// The rows are not those that were written.
    #[error("digest mismatch: stored {stored:016x}, computed {computed:016x}")]
    Digest {
        /// What the checkpoint says.
        stored: u64,
        /// What its rows give.
        computed: u64,
    },
    /// The rows break an invariant.
    #[error("the checkpoint breaks an invariant")]
    Invariant(#[from] Violation),
}

pub(super) fn inconsistent(what: impl Into<String>) -> Error {
    Error::Inconsistent(what.into())
}

impl State {
    /// Reads the last published checkpoint; an empty state when there is none.
    ///
    /// # Errors
    /// When the store cannot be read or anything in it is not as it was written.
    pub fn open(store: &dyn CheckpointStore) -> Result<State, Error> {
        let Some(bytes) = store.get(key::META)? else { return Ok(State::new()) };
        let meta: Meta = decode(key::META, &bytes)?;
        if !meta.is_known() {
            return Err(Error::UnknownFormat(meta.format));
        }
        let mut state = State {
            applied_index: meta.applied_index,
            applied_term: meta.applied_term,
            position: meta.position,
            clock: meta.clock,
            sessions: meta.sessions.clone(),
            totals: meta.totals.clone(),
            lineage: read_lineage(store)?,
            ..State::new()
        };
        state.read_products(store, &meta)?;
        state.read_users(store, &meta)?;
        read_chunks(store, &meta, |orders| state.read_orders(orders))?;
        read_chunks(store, &meta, |holds| {
            holds.into_iter().try_for_each(|hold| state.read_hold(hold))
        })?;
        read_chunks(store, &meta, |webhooks| {
            webhooks.into_iter().try_for_each(|webhook| state.read_webhook(webhook))
        })?;
        read_chunks(store, &meta, |adjustments| {
            adjustments.into_iter().try_for_each(|adjustment| state.read_adjustment(adjustment))
        })?;
        read_chunks(store, &meta, |fences| {
            fences.into_iter().try_for_each(|fence| state.read_fence(fence))
        })?;
        state.read_events(store, &meta)?;
        let computed = state.digest();
        if computed != meta.digest {
            return Err(Error::Digest { stored: meta.digest, computed });
        }
        #[cfg(feature = "planted-bugs")]
        if crate::planted::is_planted(crate::planted::Bug::KeysForgotten) {
            return Ok(state);
        }
        state.check_invariants()?;
        state.orders.pack_restored();
        Ok(state)
    }

    fn read_products(&mut self, store: &dyn CheckpointStore, meta: &Meta) -> Result<(), Error> {
        let StoredProducts { rows, blocks } = read_products(store, meta, |row| row, |_, _| Ok(()))?;
        let bases = self.read_segments(store, &rows)?;
        for (row, base) in rows.into_iter().zip(bases) {
            self.products.restore(row.product, &row.tail.0, base, &mut self.hasher);
        }
        self.products.restore_blocks(blocks, meta.blocks.max(1), single_rows(store)?);
        Ok(())
    }

    /// Checks the stored ledger segments of all products and counts them into the digest; gives
    /// each product's counters after them.
    fn read_segments(
        &mut self,
        store: &dyn CheckpointStore,
        rows: &[ReadProduct],
    ) -> Result<Vec<Counters>, Error> {
        // Per product, how many segments were seen and the counters after the last of them.
        let mut seen = vec![(0_u64, Counters::default()); rows.len()];
        let segments = |row: &ReadProduct| row.product.ledger_rows / SEGMENT_ROWS as u64;
        scan(store, key::SEGMENT, |[location, id, number], key, bytes| {
            let at = usize::try_from(id.wrapping_sub(1)).unwrap_or(usize::MAX);
            // A row of a product or beyond a count that was never published is a leftover of a
            // crash.
            let Some(row) = rows.get(at).filter(|row| number < segments(row)) else {
                return Ok(());
            };
            let (count, counters) = &mut seen[at];
            let LedgerRows(segment) = decode(key, bytes)?;
            let expected = (LOCATION.0, *count, SEGMENT_ROWS) == (location, number, segment.len());
            let adds_up = segment.iter().all(|ledger_row| {
                let before = std::mem::replace(counters, ledger_row.after);
                ledger_row.delta().apply_to(before) == Some(ledger_row.after)
            });
            if !expected || !adds_up {
                return Err(inconsistent(format!("ledger segment {}", key::name(key))));
            }
            *count += 1;
            self.products.restore_segment(row.product.id, number, &segment);
            Ok(())
        })?;
        for (row, (count, _)) in rows.iter().zip(&seen) {
            if *count != segments(row) {
                let (id, all) = (row.product.id, segments(row));
                return Err(inconsistent(format!("product {id}: {count} of {all} segments")));
            }
        }
        Ok(seen.into_iter().map(|(_, counters)| counters).collect())
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

    /// Puts the orders of a chunk back.
    fn read_orders(&mut self, orders: Vec<Order>) -> Result<(), Error> {
        let mut keys: SmallVec<[Option<KeyHash>; FETCHED_AT_ONCE]> = SmallVec::new();
        let mut orders = orders.into_iter();
        while orders.len() > 0 {
            // As placing orders does: what all of them need is waited for at once.
            keys.extend(orders.as_slice().iter().take(FETCHED_AT_ONCE).map(|order| {
                let products = order.items.iter().map(|item| item.product);
                self.fetch_order(order.key.as_deref(), order.user, products)
            }));
            for (key, order) in keys.drain(..).zip(orders.by_ref()) {
                self.read_order(order, key)?;
            }
        }
        Ok(())
    }

    /// Puts an order back with everything that is found through it.
    fn read_order(&mut self, order: Order, key: Option<KeyHash>) -> Result<(), Error> {
        let id = order.id;
        #[cfg(feature = "planted-bugs")]
        let key = key.filter(|_| !crate::planted::is_planted(crate::planted::Bug::KeysForgotten));
        if let Some(key) = key {
            let used = Used { id: id.0, fingerprint: keys::of_order_row(&order) };
            if !self.keys.insert(key, used) {
                return Err(inconsistent(format!("order {id} has the key of another")));
            }
        }
        let products = order.products();
        if let Some(product) = products.iter().find(|id| self.products.entry(**id).is_none()) {
            return Err(inconsistent(format!("order {id} is of no product {product}")));
        }
        if !order.status.is_final() {
            if let Some(task) = &order.task {
                self.tasks.insert(task.due, id);
            }
            if let Some(deadline) = order.payment_deadline {
                self.deadlines.insert(deadline, id);
            }
        }
        if !matches!(order.status, Status::Cancelled | Status::Failed) {
            let (user, placed) = (order.user, order.placed());
            for demand in demands(order.items.iter().map(|item| (item.product, item.quantity))) {
                self.take(user, placed, demand);
            }
        }
        let user = order.user;
        self.orders.restore(order, &mut self.hasher);
        let statuses = self.orders.statuses();
        if let Some(user) = user {
            self.users.post(user, id, statuses);
        }
        for product in &products {
            self.products.post(*product, id, statuses);
        }
        Ok(())
    }

    /// Puts a hold back with everything that is found through it.
    fn read_hold(&mut self, hold: Hold) -> Result<(), Error> {
        let id = hold.id;
        if let Some(key) = &hold.key {
            let used = Used { id: id.0, fingerprint: keys::of_hold_row(&hold) };
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
                self.take(hold.user, hold.created, demand);
            }
        }
        self.holds.restore(hold, &mut self.hasher);
        Ok(())
    }

    /// Puts a payment's report back with its key.
    fn read_webhook(&mut self, webhook: Webhook) -> Result<(), Error> {
        let id = webhook.id;
        let (order, report, amount) = (webhook.order, webhook.report, webhook.amount);
        let key = KeyHash::of(Scope::Webhook, &webhook.key);
        // A report that found no order may have been told again.
        let before = self.keys.get(key).and_then(|used| self.webhooks.fate(WebhookId(used.id)));
        if before.is_some_and(|fate| fate != Fate::Unmatched) {
            return Err(inconsistent(format!("webhook {id} has the key of another")));
        }
        let fingerprint = keys::of_webhook(order, report, amount);
        self.keys.insert(key, Used { id: id.0, fingerprint });
        if webhook.fate == Fate::Parked && self.orders.status(order).is_some() {
            return Err(inconsistent(format!("webhook {id} waits for order {order}")));
        }
        self.webhooks.restore(webhook, &mut self.hasher);
        Ok(())
    }

    /// Puts an adjustment back with its key.
    fn read_adjustment(&mut self, adjustment: Adjustment) -> Result<(), Error> {
        let id = adjustment.id;
        if let Some(key) = &adjustment.key {
            let used = Used { id: id.0, fingerprint: keys::of_adjustment_row(&adjustment) };
            if !self.keys.insert(KeyHash::of(Scope::Adjustment, key), used) {
                return Err(inconsistent(format!("adjustment {id} has the key of another")));
            }
        }
        self.adjustments.restore(adjustment, &mut self.hasher);
        Ok(())
    }

    /// Puts a fenced key back.
    fn read_fence(&mut self, fence: Fence) -> Result<(), Error> {
        if !self.keys.insert(KeyHash::of(Scope::Order, &fence.key), Used::FENCED) {
            return Err(inconsistent(format!("fence {} is of a key that was used", fence.id)));
        }
        self.fences.restore(fence, &mut self.hasher);
        Ok(())
    }

    /// Puts the events back: the newest chunk, and of all others what they span.
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
            let span: Option<Span> = codec::decode_row_start(ROW_VERSION, bytes)
                .map_err(|source| Error::Row { key: key::name(key), source })?;
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

/// Reads the cluster's past; one that was founded has none.
pub(super) fn read_lineage(store: &dyn CheckpointStore) -> Result<Lineage, Error> {
    match store.get(key::LINEAGE)? {
        Some(bytes) => decode(key::LINEAGE, &bytes),
        None => Ok(Lineage::default()),
    }
}

/// Reads all rows of a kind that lives in chunks, chunk by chunk, by ascending id.
fn read_chunks<R: Stored>(
    store: &dyn CheckpointStore,
    meta: &Meta,
    mut visit: impl FnMut(Vec<R>) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut open: BTreeMap<u64, Chunk<R>> = BTreeMap::new();
    scan(store, R::OPEN, |[number], key, bytes| {
        open.insert(number, unpack(key, bytes)?);
        Ok(())
    })?;
    let mut next = 0;
    scan(store, R::SEALED, |[number], key, bytes| {
        // Staged and never published, or its open chunk still counts: a leftover of a crash.
        if !R::publishes_sealed(meta, number) || open.contains_key(&number) {
            return Ok(());
        }
        read_open_chunks(&mut open, &mut next, number, meta, &mut visit)?;
        read_chunk(number, unpack(key, bytes)?, meta, &mut visit)?;
        next = number + 1;
        Ok(())
    })?;
    read_open_chunks(&mut open, &mut next, R::chunks(meta), meta, &mut visit)?;
    match open.first_key_value() {
        None => Ok(()),
        Some((number, _)) => {
            Err(inconsistent(format!("{} chunk {number} is of the future", R::NAME)))
        }
    }
}

/// Takes over the open chunks from `next` up to `end`: there is no sealed one for these numbers.
fn read_open_chunks<R: Stored>(
    open: &mut BTreeMap<u64, Chunk<R>>,
    next: &mut u64,
    end: u64,
    meta: &Meta,
    visit: &mut impl FnMut(Vec<R>) -> Result<(), Error>,
) -> Result<(), Error> {
    while *next < end {
        let chunk = open
            .remove(next)
            .ok_or_else(|| inconsistent(format!("{} chunk {next} is missing", R::NAME)))?;
        read_chunk(*next, chunk, meta, visit)?;
        *next += 1;
    }
    Ok(())
}

fn read_chunk<R: Stored>(
    number: u64,
    chunk: Chunk<R>,
    meta: &Meta,
    visit: &mut impl FnMut(Vec<R>) -> Result<(), Error>,
) -> Result<(), Error> {
    if chunk.rows.len() as u64 != R::rows_in(meta, number) {
        let (found, all) = (chunk.rows.len(), R::rows_in(meta, number));
        let name = R::NAME;
        return Err(inconsistent(format!("{name} chunk {number} has {found} rows of {all}")));
    }
    for (id, row) in (number * R::CHUNK + 1..).zip(&chunk.rows) {
        if row.id() != id {
            let (name, other) = (R::NAME, row.id());
            return Err(inconsistent(format!("{name} {id} calls itself {other}")));
        }
    }
    visit(chunk.rows)
}

/// Visits the rows of a kind with the numbers of their keys.
pub(super) fn scan<const N: usize>(
    store: &dyn CheckpointStore,
    kind: u8,
    mut visit: impl FnMut([u64; N], &[u8], &[u8]) -> Result<(), Error>,
) -> Result<(), Error> {
    // The store knows only its own errors: ours wait here while its scan ends.
    let mut failure = None;
    let result = store.scan(&[kind], &mut |key, bytes| {
        let visited = match key::numbers(key) {
            Some(numbers) => visit(numbers, key, bytes),
            None => Err(inconsistent(format!("strange key {}", key::name(key)))),
        };
        visited.map_err(|error| {
            failure = Some(error);
            store::Error::Stopped
        })
    });
    match failure {
        Some(error) => Err(error),
        None => Ok(result?),
    }
}

pub(super) fn unpack<R: Stored>(key: &[u8], bytes: &[u8]) -> Result<Chunk<R>, Error> {
    R::unpack(bytes).map_err(|source| Error::Row { key: key::name(key), source })
}

pub(super) fn decode<T: Decode<()>>(key: &[u8], bytes: &[u8]) -> Result<T, Error> {
    codec::decode_row(ROW_VERSION, bytes)
        .map_err(|source| Error::Row { key: key::name(key), source })
}
