//! Recomputes from the rows what must hold after every entry.
//!
//! Nothing here repairs anything: after a violation the state cannot be trusted.

use std::collections::BTreeMap;

use crate::adjustment::Adjustment;
use crate::apply::plan::{Demand, demands, demands_of};
use crate::fence::KeyState;
use crate::hold::{self, Hold};
use crate::ids::{OrderId, Position, ProductId, Quantity, UserId};
use crate::keys::{self, KeyHash, Scope};
use crate::ledger::SEGMENT_ROWS;
use crate::money::Money;
use crate::order::{Order, Status};
use crate::orders::Lookup;
use crate::postings::{COUNTED_FROM, Counts};
use crate::products::Entry;
use crate::rolling::{Origin, Rolling, Source};
use crate::state::State;
use crate::taken::Taken;
use crate::webhook::{Fate, Webhook};

/// Debug builds check all products, open orders and active holds after every entry up to this many.
#[cfg(debug_assertions)]
const CHECKED_OPEN_ROWS_MAX: u64 = 2000;

/// An invariant that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Violation(String);

/// Fails with the message when the condition does not hold.
macro_rules! ensure {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err(Violation(format!($($message)+)));
        }
    };
}

impl State {
    /// Checks every invariant over everything in memory, however long it takes.
    ///
    /// # Errors
    /// The first violation found.
    pub fn check_invariants(&self) -> Result<(), Violation> {
        self.check_open()?;
        ensure!(self.orders.is_sound(), "the order counts disagree with the orders");
        for order in self.orders.residents() {
            self.check_order(&order)?;
        }
        ensure!(self.holds.is_sound(), "the hold counts disagree with the holds");
        for hold in self.holds.residents() {
            self.check_hold(&hold)?;
        }
        ensure!(self.webhooks.is_sound(), "the report counts disagree with the reports");
        for webhook in self.webhooks.residents() {
            self.check_webhook(&webhook)?;
        }
        ensure!(self.adjustments.is_sound(), "the adjustment counts disagree with their rows");
        for adjustment in self.adjustments.residents() {
            self.check_adjustment(&adjustment)?;
        }
        ensure!(self.events.is_sound(), "the events are not as they were counted");
        ensure!(self.keyed.is_sound(), "the keys of commands are not as they were counted");
        ensure!(self.tokens.is_sound(), "the tokens are not as they were counted");
        ensure!(self.audit.is_sound(), "the audit is not as it was counted");
        ensure!(self.fences.is_sound(), "the fence counts disagree with the fences");
        for fence in self.fences.residents() {
            let fenced = self.key_state(&fence.key) == KeyState::Fenced;
            ensure!(fenced, "the key of fence {} is not fenced", fence.id);
        }
        let (webhooks, adjustments) = (self.webhooks.len(), self.adjustments.len());
        // An order has a key and a reference at most.
        let keyed = 2 * self.orders.len() + self.holds.len() + webhooks + adjustments;
        let keyed = keyed + self.fences.len() + self.refunds.len();
        self.check_refunds()?;
        ensure!(self.keys.len() as u64 <= keyed, "more keys than rows that can have one");
        ensure!(self.recount_held() == self.held, "what users have held is counted wrongly");
        let taken = self.recount_taken();
        let rolling = self.recount_rolling();
        let counts = |id, it: &Origin| self.counts_in_window(id, it);
        let counted = self.rolling.current(counts);
        ensure!(
            rolling.is_within(&counted)
                && (!self.orders.all_resident() || rolling.current(counts) == counted),
            "what users took within windows is counted wrongly"
        );
        ensure!(
            taken.is_within(&self.taken) && (!self.orders.all_resident() || taken == self.taken),
            "what users have taken is counted wrongly"
        );
        for entry in self.products.entries() {
            let counted = entry.orders.len() >= COUNTED_FROM;
            let recounted = counted.then(|| Counts::of(&entry.orders, self.orders.statuses()));
            ensure!(
                entry.counts == recounted,
                "product {}: its orders are counted wrongly",
                entry.product.id
            );
        }
        ensure!(
            self.users.counts_are_sound(self.orders.statuses()),
            "the orders of a user are counted wrongly"
        );
        let totals = &self.totals;
        let ended = totals.holds_consumed + totals.holds_expired + totals.holds_released;
        let statuses = self.orders.statuses();
        for (what, total, rows) in [
            ("created", totals.orders_created, self.orders.len()),
            ("paid", totals.orders_paid, statuses.count(Status::Paid)),
            ("failed", totals.orders_failed, statuses.count(Status::Failed)),
            ("cancelled", totals.orders_cancelled, statuses.count(Status::Cancelled)),
            ("payments", totals.payment_successes, totals.orders_paid),
            ("products", totals.products_created, self.products.len() as u64),
            ("users", totals.users_created, self.users.len() as u64),
            ("holds", totals.holds_created, self.holds.len()),
            ("adjustments", totals.stock_adjustments, adjustments),
            ("fences", totals.keys_fenced, self.fences.len()),
            ("holds not active", ended, self.holds.len() - self.holds.active()),
        ] {
            ensure!(total == rows, "{what}: counted {total}, found {rows}");
        }
        ensure!(totals.orders_timed_out <= totals.orders_cancelled, "timed out but not cancelled");
        Ok(())
    }

    /// Units that users have in active holds, recomputed.
    fn recount_held(&self) -> Taken {
        let mut held = Taken::default();
        for hold in self.holds.active_holds() {
            for line in &hold.lines {
                if let Some(user) = hold.user {
                    held.add(line.product, user, u64::from(line.quantity.0));
                }
            }
        }
        held
    }

    /// Units that users have of products with a limit per user, recomputed from all rows in memory.
    fn recount_taken(&self) -> Taken {
        let mut taken = Taken::default();
        let mut add = |product: ProductId, user: Option<UserId>, at: Position, units: Quantity| {
            let entry = self.products.entry(product);
            let counts = entry.is_some_and(|entry| entry.product.counts(at));
            if let Some(user) = user.filter(|_| counts) {
                taken.add(product, user, u64::from(units.0));
            }
        };
        for order in self.orders.residents() {
            if !matches!(order.status, Status::Cancelled | Status::Failed) {
                let placed = order.placed();
                // Units that came back do not count.
                let mut back = self.refunds.of(order.id).map(|known| known.restocked.clone());
                for item in order.items.iter() {
                    let mut units = item.quantity.0;
                    let left = back.as_mut().and_then(|back| back.get_mut(&item.product));
                    if let Some(left) = left {
                        let returned = u32::try_from(*left).unwrap_or(u32::MAX).min(units);
                        units -= returned;
                        *left -= u64::from(returned);
                    }
                    if units > 0 {
                        add(item.product, order.user, placed, Quantity(units));
                    }
                }
            }
        }
        for hold in self.holds.active_holds() {
            for line in &hold.lines {
                add(line.product, hold.user, hold.created, line.quantity);
            }
        }
        taken
    }

    fn counts_in_window(&self, id: ProductId, it: &Origin) -> bool {
        let entry = self.products.entry(id);
        entry.is_some_and(|entry| entry.product.window_counts(it.position, it.at, self.clock))
    }

    /// Units that users took of products with a limit per window, recomputed from all rows in
    /// memory.
    fn recount_rolling(&self) -> Rolling {
        let mut rolling = Rolling::default();
        let mut add = |user: Option<UserId>, origin: Origin, demand: Demand| {
            let Demand { product, units } = demand;
            if let Some(user) = user.filter(|_| self.counts_in_window(product, &origin)) {
                rolling.add(product, user, origin, units, |_| true);
            }
        };
        for order in self.orders.residents() {
            if matches!(order.status, Status::Cancelled | Status::Failed) {
                continue;
            }
            let source = Source::Order(order.id);
            let origin = Origin { at: order.created_at, position: order.placed(), source };
            let back = self.refunds.of(order.id);
            for mut demand in demands(order.items.iter().map(|it| (it.product, it.quantity))) {
                let returned = back.and_then(|known| known.restocked.get(&demand.product).copied());
                demand.units -= returned.unwrap_or(0);
                if demand.units > 0 {
                    add(order.user, origin, demand);
                }
            }
        }
        for hold in self.holds.active_holds() {
            let source = Source::Hold(hold.id);
            let origin = Origin { at: hold.created_at, position: hold.created, source };
            demands_of(&hold.lines).into_iter().for_each(|demand| add(hold.user, origin, demand));
        }
        rolling
    }

    /// Checks that open orders and counters agree.
    fn check_open(&self) -> Result<(), Violation> {
        let mut reserved: BTreeMap<ProductId, u64> = BTreeMap::new();
        let mut held: BTreeMap<ProductId, u64> = BTreeMap::new();
        for line in self.holds.active_holds().flat_map(|hold| &hold.lines) {
            *held.entry(line.product).or_default() += u64::from(line.quantity.0);
        }
        let (mut tasks, mut deadlines, mut open) = (0, 0, 0);
        for order in self.orders.open_orders() {
            open += 1;
            for item in order.items.iter() {
                *reserved.entry(item.product).or_default() += u64::from(item.quantity.0);
            }
            if let Some(task) = &order.task {
                tasks += 1;
                ensure!(
                    self.tasks.of(order.payment_method).contains(task.due, order.id),
                    "order {} has a payment task that is not scheduled",
                    order.id
                );
            }
            if let Some(deadline) = order.payment_deadline {
                deadlines += 1;
                ensure!(
                    self.deadlines.contains(deadline, order.id),
                    "order {} has a deadline that is not scheduled",
                    order.id
                );
            }
        }
        ensure!(open == self.orders.open(), "{open} open orders, {} counted", self.orders.open());
        ensure!(tasks == self.tasks.len(), "{tasks} tasks, {} scheduled", self.tasks.len());
        ensure!(
            deadlines == self.deadlines.len(),
            "{deadlines} deadlines, {} scheduled",
            self.deadlines.len()
        );
        for (number, entry) in (1..).zip(self.products.entries()) {
            let id = ProductId(number);
            ensure!(entry.product.id == id, "product {id} calls itself {}", entry.product.id);
            let of = |units: &BTreeMap<_, _>| units.get(&id).copied().unwrap_or(0);
            check_product(entry, of(&reserved), of(&held))?;
            let listed = entry.product.sku.as_deref().filter(|_| !entry.product.archived);
            if let Some(sku) = listed {
                ensure!(
                    self.products.by_sku(sku) == Some(id),
                    "product {id} is not found by its sku"
                );
            }
        }
        for (sku, &id) in self.products.skus() {
            let active = self.products.active(id);
            let has = active.is_some_and(|product| product.sku.as_ref() == Some(sku));
            ensure!(has, "sku {sku} leads to product {id}, which does not have it");
        }
        Ok(())
    }

    fn check_order(&self, order: &Order) -> Result<(), Violation> {
        let id = order.id;
        ensure!(self.orders.status(id) == Some(order.status), "order {id} has two statuses");
        let total = order
            .items
            .iter()
            .try_fold(Money(0), |sum, item| sum.plus(item.unit_price.times(item.quantity)?));
        ensure!(total == Some(order.total), "order {id} does not cost the sum of its lines");
        check_history(order)?;
        let processing = order.status == Status::Processing;
        let settled_by_worker = order.task.is_some();
        ensure!(
            if order.status.is_final() {
                !settled_by_worker
            } else {
                settled_by_worker || !processing
            },
            "order {id} is {} and has task {:?}",
            order.status,
            order.task
        );
        if let Some(key) = &order.key {
            let used = self.keys.used(Scope::Order, id.0, &keys::of_order_row(order));
            ensure!(
                self.keys.get(KeyHash::of(Scope::Order, key)) == Some(used),
                "order {id} is not found by its key"
            );
        }
        if let Some(reference) = &order.reference {
            ensure!(
                self.order_by_reference(reference) == Some(id),
                "order {id} is not found by its reference"
            );
        }
        if let Some(hold) = order.hold {
            let status = self.holds.status(hold);
            ensure!(
                status == Some(hold::Status::Consumed(id)),
                "order {id} is from hold {hold}, which is {status:?}"
            );
        }
        if let Some(user) = order.user {
            let posted = self.users.orders(user).is_some_and(|orders| orders.contains(id.0));
            ensure!(posted, "order {id} is not in the list of user {user}");
        }
        for item in order.items.iter() {
            let entry = self.products.entry(item.product);
            let posted = entry.is_some_and(|entry| entry.orders.contains(id.0));
            ensure!(posted, "order {id} is not in the list of product {}", item.product);
        }
        Ok(())
    }

    fn check_hold(&self, hold: &Hold) -> Result<(), Violation> {
        let id = hold.id;
        if let Some(key) = &hold.key {
            let used = self.keys.used(Scope::Hold, id.0, &keys::of_hold_row(hold));
            ensure!(
                self.keys.get(KeyHash::of(Scope::Hold, key)) == Some(used),
                "hold {id} is not found by its key"
            );
        }
        let hold::Status::Consumed(order) = hold.status else { return Ok(()) };
        ensure!(self.orders.status(order).is_some(), "hold {id} became order {order}");
        if let Lookup::Resident(order) = self.orders.lookup(order) {
            ensure!(
                order.hold == Some(id) && (hold.user.is_none() || hold.user == order.user),
                "hold {id} became order {}, which does not say so",
                order.id
            );
        }
        Ok(())
    }

    fn check_webhook(&self, webhook: &Webhook) -> Result<(), Violation> {
        let (id, order) = (webhook.id, webhook.order);
        let status = self.orders.status(order);
        let fits = match webhook.fate {
            Fate::Parked | Fate::Unmatched => true,
            Fate::Applied => status.is_some_and(Status::is_final),
            Fate::Conflict(_) => status.is_some(),
        };
        ensure!(fits, "report {id} is {:?}, its order {order} {status:?}", webhook.fate);
        ensure!(
            webhook.fate != Fate::Parked || status.is_none(),
            "report {id} waits for order {order}, which exists"
        );
        let found = self.keys.get(KeyHash::of(Scope::Webhook, &webhook.key));
        let meaning = keys::of_webhook(order, webhook.report, webhook.amount);
        let used = self.keys.used(Scope::Webhook, id.0, &meaning);
        ensure!(
            webhook.fate == Fate::Unmatched || found == Some(used),
            "report {id} is not found by its key"
        );
        Ok(())
    }

    /// Checks that refunds fit their orders and are scheduled.
    fn check_refunds(&self) -> Result<(), Violation> {
        ensure!(self.refunds.is_sound(), "the refund counts disagree with the refunds");
        for refund in self.refunds.waiting_rows() {
            let is_scheduled =
                refund.task.is_some_and(|task| self.refunds.is_scheduled(task.due, refund.id));
            ensure!(is_scheduled, "refund {} waits and is not scheduled", refund.id);
        }
        for refund in self.refunds.residents() {
            let (id, order) = (refund.id, refund.order);
            let status = self.orders.status(order);
            ensure!(status == Some(Status::Paid), "refund {id} is of order {order}: {status:?}");
            let known = self.refunds.of(order).filter(|known| known.ids.contains(&id));
            let Some(known) = known else {
                return Err(Violation(format!("refund {id} is not in the list of its order")));
            };
            ensure!(known.facts == refund.facts, "refund {id} has other facts of order {order}");
            let total = known.facts.total;
            ensure!(known.amount <= total, "order {order} gives {} of {total} back", known.amount);
            let bought = known.facts.items.iter().map(|item| u64::from(item.quantity.0));
            ensure!(
                known.units.iter().zip(bought).all(|(back, bought)| *back <= bought),
                "more units of order {order} came back than were bought"
            );
            if let Some(key) = &refund.key {
                let used = self.keys.used(Scope::Refund, id.0, &keys::of_refund_row(&refund));
                ensure!(
                    self.keys.get(KeyHash::of(Scope::Refund, key)) == Some(used),
                    "refund {id} is not found by its key"
                );
            }
        }
        Ok(())
    }

    fn check_adjustment(&self, adjustment: &Adjustment) -> Result<(), Violation> {
        let id = adjustment.id;
        if let Some(key) = &adjustment.key {
            let used =
                self.keys.used(Scope::Adjustment, id.0, &keys::of_adjustment_row(adjustment));
            ensure!(
                self.keys.get(KeyHash::of(Scope::Adjustment, key)) == Some(used),
                "adjustment {id} is not found by its key"
            );
        }
        ensure!(
            self.products.entry(adjustment.product).is_some(),
            "adjustment {id} is of no product {}",
            adjustment.product
        );
        Ok(())
    }

    /// Panics when an invariant does not hold. Runs after every entry in debug builds, to find the
    /// entry that broke it. Checks everything while that is cheap, else now and then, so that a
    /// debug build stays usable with many orders.
    #[cfg(debug_assertions)]
    pub(crate) fn assert_sound(&self) {
        let every = |entries| self.applied_index.is_multiple_of(entries);
        let open = self.orders.open() + self.holds.active() + self.products.len() as u64;
        let few = open < CHECKED_OPEN_ROWS_MAX;
        let result = match self.orders.len() + self.holds.len() {
            0..64 => self.check_invariants(),
            64..10_000 if every(256) => self.check_invariants(),
            _ if every(8192) => self.check_invariants(),
            _ if few || every(64) => self.check_open(),
            _ => Ok(()),
        };
        assert!(result.is_ok(), "after entry {}: {result:?}", self.applied_index);
    }
}

/// Checks that counters, ledger, open orders and active holds agree.
fn check_product(entry: &Entry, reserved: u64, held: u64) -> Result<(), Violation> {
    let product = &entry.product;
    let (id, stock) = (product.id, &product.stock);
    ensure!(stock.is_sound(), "product {id} has a negative counter: {stock:?}");
    ensure!(
        stock.total() == product.brought_in,
        "product {id}: {} units brought in, {stock:?}",
        product.brought_in
    );
    ensure!(
        u64::try_from(stock.reserved) == Ok(reserved),
        "product {id}: {} units reserved, {reserved} in open orders",
        stock.reserved
    );
    ensure!(
        u64::try_from(stock.held) == Ok(held),
        "product {id}: {} units held, {held} in active holds",
        stock.held
    );
    ensure!(
        entry.tail.len() < SEGMENT_ROWS
            && entry.tail.len() as u64 == product.ledger_rows % SEGMENT_ROWS as u64
            && entry.full.iter().all(|(_, segment)| segment.len() == SEGMENT_ROWS),
        "product {id}: the ledger segments do not hold {} rows",
        product.ledger_rows
    );
    let mut counters = entry.base;
    for row in entry.resident_rows() {
        let after = row.delta().apply_to(counters);
        ensure!(after == Some(row.after), "product {id}: the ledger row {row:?} does not add up");
        counters = row.after;
    }
    ensure!(counters == *stock, "product {id}: {stock:?}, ledger {counters:?}");
    Ok(())
}

/// Checks that the history is a chain of legal moves that ends at the order's status.
fn check_history(order: &Order) -> Result<(), Violation> {
    let id: OrderId = order.id;
    let mut at: Option<Status> = None;
    for row in &order.history {
        let legal = match at {
            None => row.from.is_none() && row.to == Status::Pending,
            Some(from) => row.from == Some(from) && from.can_become(row.to),
        };
        ensure!(legal, "order {id} went from {at:?} to {}", row.to);
        at = Some(row.to);
    }
    ensure!(at == Some(order.status), "order {id} is {}, history says {at:?}", order.status);
    Ok(())
}
