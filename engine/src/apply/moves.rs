//! What several commands share: moving units between counters, moving an order to its next status,
//! and expiring deadlines.

use crate::apply::context::Context;
use crate::apply::plan::{Demand, demands};
use crate::command::Rules;
use crate::event::{Kind, OrderChange};
use crate::ids::{HoldId, OrderId, Position, ProductId, Timestamp, UserId, WebhookId};
use crate::ledger::{self, Delta};
use crate::order::{Cause, HistoryRow, Order, PaymentTask, Status};
use crate::product::Product;
use crate::rolling::{Origin, Source};
use crate::state::{NO_TRACE, Observer, State};

/// The most orders, the most holds and the most parked reports that one entry expires. The others
/// are unusable even so, and the next entry expires them.
const EXPIRED_PER_ENTRY_MAX: usize = 1000;

/// The most lines of the orders, and of the holds, that one entry expires from level 1 on: some
/// 20 ms. One more row is expired in any case.
const EXPIRED_LINES_PER_ENTRY_MAX: usize = 5_000;

/// The failure reason of an order whose payment deadline passed.
const DEADLINE_REASON: &str = "payment deadline passed";

impl State {
    /// The payment task of an order in memory.
    pub(crate) fn task(&self, id: OrderId) -> Option<PaymentTask> {
        self.orders.resident(id)?.task
    }

    /// Moves units of a product, and emits an event when it is sold out or low.
    pub(crate) fn shift(
        &mut self,
        cx: &mut Context<'_>,
        product: ProductId,
        delta: Delta,
        cause: ledger::Cause,
    ) {
        let before = self.stocked(product).stock.available();
        self.products.shift(product, delta, cause, cx.position, cx.at);
        self.tell_stock(cx, product, before);
    }

    /// Emits an event when a change left a product, which had `before` units available, sold out or
    /// low.
    pub(crate) fn tell_stock(&mut self, cx: &mut Context<'_>, product: ProductId, before: i64) {
        let row = self.stocked(product);
        let available = row.stock.available();
        if before > 0 && available == 0 {
            self.tell(cx, Kind::SoldOut(product));
        } else if let Some(threshold) = row.low_stock
            && before > i64::from(threshold)
            && available <= i64::from(threshold)
        {
            self.tell(cx, Kind::LowStock { product, available, threshold });
        }
    }

    fn stocked(&self, product: ProductId) -> &Product {
        &self.products.entry(product).expect("the plan found the product").product
    }

    /// Counts units that a user takes, towards each limit of the product that counts them.
    pub(crate) fn take(&mut self, user: Option<UserId>, origin: Origin, demand: Demand) {
        let Demand { product, units } = demand;
        let Some(user) = user else { return };
        let row = &self.products.entry(product).expect("the plan found the product").product;
        if row.counts(origin.position) {
            self.taken.add(product, user, units);
        }
        let clock = self.clock;
        let counts = |it: &Origin| row.window_counts(it.position, it.at, clock);
        if counts(&origin) {
            self.rolling.add(product, user, origin, units, counts);
        }
    }

    /// Uncounts units that a user took at `position` and returns, if they are counted.
    pub(crate) fn untake(
        &mut self,
        user: Option<UserId>,
        source: Source,
        position: Position,
        demand: Demand,
    ) {
        let Demand { product, units } = demand;
        let Some(user) = user else { return };
        if self.stocked(product).counts(position) {
            self.taken.give_back(product, user, units);
        }
        self.rolling.give_back(product, user, source, units);
    }

    /// Moves an open order to its next status, with its history row.
    pub(crate) fn advance(
        &mut self,
        cx: &Context<'_>,
        id: OrderId,
        to: Status,
        cause: Cause,
    ) -> &mut Order {
        let order = self.orders.transition(id, to);
        let from = order.history.last().map(|row| row.to);
        let trace = cx.trace_beside(&order.trace);
        order.history.push(HistoryRow { position: cx.position, from, to, at: cx.at, cause, trace });
        (order.updated_at, order.version) = (cx.at, cx.position);
        let from = from.expect("an order is placed before it moves");
        if let Some(user) = order.user {
            self.users.moved(user, id, from, to);
        }
        for &product in &order.products() {
            self.products.moved(product, id, from, to);
        }
        order
    }

    /// Ends an order: removes it from the schedules and moves its units.
    pub(crate) fn finish(
        &mut self,
        cx: &mut Context<'_>,
        id: OrderId,
        to: Status,
        cause: Cause,
        reason: Option<Box<str>>,
    ) {
        let order = self.advance(cx, id, to, cause);
        order.failure_reason = reason.clone();
        let task = order.task.take();
        let deadline = order.payment_deadline;
        let (user, total, method) = (order.user, order.total, order.payment_method);
        let placed = order.placed();
        let demands = demands(order.items.iter().map(|item| (item.product, item.quantity)));
        if let Some(task) = task {
            self.tasks.remove(method, task.due, id);
        }
        if let Some(deadline) = deadline {
            self.deadlines.remove(deadline, id);
        }
        for demand in &demands {
            #[cfg(feature = "planted-bugs")]
            if to == Status::Failed && crate::planted::is_planted(crate::planted::Bug::ReleaseLost)
            {
                continue;
            }
            let units = demand.signed();
            let reserved = -units;
            let (delta, cause) = match to {
                Status::Paid => (
                    Delta { on_hand: -units, reserved, sold: units, ..Delta::default() },
                    ledger::Cause::Sale(id),
                ),
                Status::Failed => {
                    (Delta { reserved, ..Delta::default() }, ledger::Cause::Release(id))
                }
                Status::Cancelled => {
                    (Delta { reserved, ..Delta::default() }, ledger::Cause::Cancel(id))
                }
                Status::Pending | Status::Processing => unreachable!("{to} is not an end"),
            };
            self.shift(cx, demand.product, delta, cause);
            if to != Status::Paid {
                self.untake(user, Source::Order(id), placed, *demand);
            }
        }
        let change = match to {
            Status::Paid => {
                self.totals.orders_paid += 1;
                self.totals.units_sold += demands.iter().map(|demand| demand.units).sum::<u64>();
                let revenue = &mut self.totals.revenue_minor;
                *revenue = revenue.saturating_add(total.0.unsigned_abs());
                OrderChange::Paid
            }
            Status::Failed => {
                self.totals.orders_failed += 1;
                OrderChange::Failed { reason: reason.unwrap_or_default() }
            }
            _ => {
                self.totals.orders_cancelled += 1;
                OrderChange::Cancelled { reason }
            }
        };
        self.tell_order(cx, id, change);
        self.orders.settle(id, &mut self.hasher);
    }

    /// Expires orders, holds and parked reports whose deadline passed, a bounded number of each, at
    /// the position of the entry. Returns how many events it emitted.
    pub(crate) fn expire_due(&mut self, observer: &mut dyn Observer) -> u32 {
        let now = self.clock;
        #[cfg(feature = "planted-bugs")]
        let now = match crate::planted::is_planted(crate::planted::Bug::DeadlineLate) {
            true => Timestamp(now.0.saturating_sub(1)),
            false => now,
        };
        if self.next_deadline().is_none_or(|due| due > now) {
            return 0;
        }
        let lines_max = if self.level() > 0 { EXPIRED_LINES_PER_ENTRY_MAX } else { usize::MAX };
        let order_lines = |id| self.orders.resident(id).map_or(0, |order| order.items.len());
        let orders: Vec<OrderId> = within(lines_max, self.deadlines.due(now), order_lines);
        let hold_lines = |id| self.holds.resident(id).map_or(0, |hold| hold.lines.len());
        let holds: Vec<HoldId> = within(lines_max, self.holds.due(now), hold_lines);
        let webhooks: Vec<WebhookId> = self.webhooks.due(now).take(EXPIRED_PER_ENTRY_MAX).collect();
        let mut cx = Context {
            position: self.position,
            at: now,
            trace: &NO_TRACE,
            // A report that waits still ends as unmatched at its deadline.
            rules: Rules::Parking,
            events: 0,
            observer,
        };
        for id in orders {
            self.expire(&mut cx, id);
        }
        for id in holds {
            self.expire_hold(&mut cx, id);
        }
        for id in webhooks {
            self.forget_parked(&mut cx, id);
        }
        cx.events
    }

    /// Whether a deadline may have passed by `now`, so that units may become available that are not
    /// counted yet.
    pub(crate) fn may_expire_by(&self, now: Timestamp) -> bool {
        self.next_deadline().is_some_and(|due| due <= now.max(self.clock))
    }

    /// Cancels an open order whose deadline passed and that was not swept yet. True when it did.
    pub(crate) fn expire_if_due(&mut self, cx: &mut Context<'_>, id: OrderId) -> bool {
        let due = self.orders.resident(id).is_some_and(|order| {
            order.status == Status::Pending
                && order.payment_deadline.is_some_and(|deadline| deadline <= cx.at)
        });
        if due {
            self.expire(cx, id);
        }
        due
    }

    fn expire(&mut self, cx: &mut Context<'_>, id: OrderId) {
        let reason = Some(DEADLINE_REASON.into());
        self.finish(cx, id, Status::Cancelled, Cause::PaymentTimeout, reason);
        self.totals.orders_timed_out += 1;
    }
}

/// The first rows that together have at most `lines_max` lines, and the one that exceeds it: at
/// most [`EXPIRED_PER_ENTRY_MAX`].
fn within<T: Copy>(
    lines_max: usize,
    due: impl Iterator<Item = T>,
    lines: impl Fn(T) -> usize,
) -> Vec<T> {
    let mut before = 0;
    let fits = |id: &T| {
        let fits = before <= lines_max;
        before += lines(*id);
        fits
    };
    due.take(EXPIRED_PER_ENTRY_MAX).take_while(fits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_expires_at_once_is_bounded_by_rows_and_lines() {
        let lines = |n: usize| move |_| n;
        assert_eq!(within(5_000, 0..2_000, lines(1)).len(), EXPIRED_PER_ENTRY_MAX);
        assert_eq!(within(5_000, 0..2_000, lines(100)).len(), 51);
        assert_eq!(within(5_000, 0..2, lines(9_000)), [0], "one expires in any case");
        assert_eq!(within(usize::MAX, 0..2_000, lines(100)).len(), EXPIRED_PER_ENTRY_MAX);
    }
}
