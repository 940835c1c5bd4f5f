//! Placing and cancelling orders.

use smallvec::SmallVec;

use crate::apply::Context;
use crate::apply::moves::{Demand, Demands, demands};
use crate::command::{CancelOrder, PlaceOrder};
use crate::event::{Kind, OrderChange};
use crate::ids::{OrderId, Quantity, Timestamp};
use crate::keys::{self, KEY_BYTES_MAX, KeyHash, Used};
use crate::ledger;
use crate::money::Money;
use crate::order::{
    Cause, HistoryRow, Item, Items, LINES_MAX, METADATA_BYTES_MAX, Order, PaymentMethod,
    PaymentTask, REASON_BYTES_MAX, Status,
};
use crate::outcome::{Outcome, Rejection};
use crate::products::Delta;
use crate::state::State;

/// What placing an order will do, once nothing can refuse it any more.
struct Plan {
    demands: Demands,
    items: Items,
    total: Money,
}

impl State {
    /// Checks, prices, reserves, creates, keys and enqueues the payment, all or nothing.
    pub(crate) fn place_order(
        &mut self,
        cx: &mut Context<'_>,
        command: PlaceOrder,
    ) -> Result<Outcome, Rejection> {
        // The key comes first: a request that was carried out before is answered with what it made,
        // whatever has changed since.
        let key = command.key.as_deref().map(KeyHash::of_order);
        if let Some(used) = key.and_then(|key| self.keys.get(key)) {
            return self.replay(&command, used);
        }
        let plan = match self.plan_order(&command) {
            Ok(plan) => plan,
            Err(rejection) => {
                if let Rejection::InsufficientStock { product, .. } = rejection {
                    cx.tell(Kind::OrderRejected { product, user: command.user });
                }
                return Err(rejection);
            }
        };
        Ok(Outcome::Placed(self.create_order(cx, command, key, plan)))
    }

    /// Why this order, placed now, would be refused for lack of stock, if it would.
    ///
    /// Such a refusal changes nothing, so it needs no entry: asked of a state that is as new as a
    /// linearizable read, it may be answered at once. `None` whenever the log has to decide: the
    /// key is known, anything else is wrong, or a deadline may be due by `now` that would give
    /// units back.
    pub fn lacks_stock(&self, command: &PlaceOrder, now: Timestamp) -> Option<Rejection> {
        let known = |key: &str| self.keys.get(KeyHash::of_order(key)).is_some();
        if command.key.as_deref().is_some_and(known) {
            return None;
        }
        if self.deadlines.first().is_some_and(|(due, _)| due <= now.max(self.clock)) {
            return None;
        }
        match self.plan_order(command) {
            Err(rejection @ Rejection::InsufficientStock { .. }) => Some(rejection),
            Ok(_) | Err(_) => None,
        }
    }

    fn replay(&mut self, command: &PlaceOrder, used: Used) -> Result<Outcome, Rejection> {
        if fingerprint(command) != used.fingerprint {
            return Err(Rejection::KeyReused);
        }
        self.totals.orders_replayed += 1;
        Ok(Outcome::Replayed(used.order))
    }

    fn plan_order(&self, command: &PlaceOrder) -> Result<Plan, Rejection> {
        check_shape(command)?;
        match command.user {
            _ if !command.require_user => {}
            None => return Err(Rejection::UserRequired),
            Some(id) if self.users.get(id).is_none() => return Err(Rejection::UserNotFound(id)),
            Some(_) => {}
        }
        if self.orders.open() >= command.open_orders_max {
            return Err(Rejection::TooManyOpenOrders);
        }
        let mut items: SmallVec<[Item; 1]> = SmallVec::with_capacity(command.lines.len());
        for line in &command.lines {
            let product = self
                .products
                .active(line.product)
                .ok_or(Rejection::ProductNotFound(line.product))?;
            items.push(Item {
                product: line.product,
                quantity: line.quantity,
                unit_price: product.price,
            });
        }
        let demands = demands(command.lines.iter().map(|line| (line.product, line.quantity)));
        self.check_limits(&demands)?;
        self.check_stock(&demands)?;
        let total = total(&items).ok_or(Rejection::AmountOverflow)?;
        Ok(Plan { demands, items: Items(items), total })
    }

    fn check_limits(&self, demands: &[Demand]) -> Result<(), Rejection> {
        for &Demand { product, units } in demands {
            let limit = self.products.active(product).and_then(|product| product.max_per_order);
            if let Some(limit) = limit.filter(|limit| units > u64::from(*limit)) {
                return Err(Rejection::PurchaseLimitExceeded { product, limit, requested: units });
            }
        }
        Ok(())
    }

    fn check_stock(&self, demands: &[Demand]) -> Result<(), Rejection> {
        for &Demand { product, units } in demands {
            let available =
                self.products.active(product).map_or(0, |product| product.stock.available());
            if i64::try_from(units).is_ok_and(|units| units <= available) {
                continue;
            }
            return Err(Rejection::InsufficientStock { product, requested: units, available });
        }
        Ok(())
    }

    /// Carries the plan out. Nothing can refuse it any more.
    fn create_order(
        &mut self,
        cx: &mut Context<'_>,
        command: PlaceOrder,
        key: Option<KeyHash>,
        plan: Plan,
    ) -> OrderId {
        let id = OrderId(self.orders.len() + 1);
        if let Some(key) = key {
            let used = Used { order: id, fingerprint: fingerprint(&command) };
            assert!(self.keys.insert(key, used), "an unused key was looked up before");
        }
        let mut history = Vec::with_capacity(3);
        history.push(HistoryRow {
            position: cx.position,
            from: None,
            to: Status::Pending,
            at: cx.at,
            cause: Cause::Placed,
            trace: None,
        });
        let order = Order {
            id,
            user: command.user,
            status: Status::Pending,
            payment_method: command.payment_method,
            items: plan.items,
            total: plan.total,
            key: command.key,
            metadata: command.metadata,
            failure_reason: None,
            trace: cx.trace.clone(),
            created_at: cx.at,
            updated_at: cx.at,
            version: cx.position,
            task: (command.payment_method == PaymentMethod::Mock).then_some(PaymentTask {
                attempt: 1,
                attempts_max: command.payment_attempts_max,
                unanswered: 0,
                due: cx.at,
                claim: None,
            }),
            payment_deadline: (command.payment_method == PaymentMethod::Webhook)
                .then(|| cx.at.plus_ms(command.payment_deadline_ms)),
            history,
        };
        if let Some(task) = &order.task {
            self.tasks.insert(task.due, id);
        }
        if let Some(deadline) = order.payment_deadline {
            self.deadlines.insert(deadline, id);
        }
        let (user, change, total) = (order.user, OrderChange::Placed, order.total);
        self.orders.push(order);
        if let Some(user) = user {
            self.users.post(user, id, self.orders.statuses());
        }
        self.totals.orders_created += 1;
        cx.tell(Kind::Order { order: id, user, change, total });
        for Demand { product, units } in plan.demands {
            self.products.post(product, id, self.orders.statuses());
            let reserved = i64::try_from(units).expect("an order's units are bounded");
            let delta = Delta { reserved, ..Delta::default() };
            self.shift(cx, product, delta, ledger::Cause::Order(id));
        }
        id
    }

    /// Cancels a PENDING order. The status in memory is enough to refuse any other.
    pub(crate) fn cancel_order(
        &mut self,
        cx: &mut Context<'_>,
        command: CancelOrder,
    ) -> Result<Outcome, Rejection> {
        let id = command.order;
        if command.reason.as_ref().is_some_and(|reason| reason.len() > REASON_BYTES_MAX) {
            return Err(Rejection::Invalid("reason"));
        }
        match self.orders.status(id).ok_or(Rejection::OrderNotFound)? {
            Status::Cancelled => Ok(Outcome::Cancelled { order: id, already: true }),
            Status::Pending => {
                let already = self.expire_if_due(cx, id);
                if !already {
                    self.finish(cx, id, Status::Cancelled, Cause::Cancelled, command.reason);
                }
                Ok(Outcome::Cancelled { order: id, already })
            }
            status @ (Status::Processing | Status::Paid | Status::Failed) => {
                Err(Rejection::NotCancellable { order: id, status })
            }
        }
    }
}

fn fingerprint(command: &PlaceOrder) -> u64 {
    keys::fingerprint(
        command.user,
        command.lines.iter().map(|line| (line.product, line.quantity)),
        command.payment_method,
        command.metadata.as_deref(),
    )
}

/// The bounds that the edge should have kept.
fn check_shape(command: &PlaceOrder) -> Result<(), Rejection> {
    if command.lines.is_empty() || command.lines.len() > LINES_MAX {
        return Err(Rejection::Invalid("items"));
    }
    if !command.lines.iter().all(|line| (Quantity(1)..=Quantity::MAX).contains(&line.quantity)) {
        return Err(Rejection::Invalid("quantity"));
    }
    if let Some(key) = &command.key {
        let printable = !key.chars().any(char::is_control);
        if key.is_empty() || key.len() > KEY_BYTES_MAX || !printable {
            return Err(Rejection::Invalid("idempotency_key"));
        }
    }
    if command.metadata.as_ref().is_some_and(|text| text.len() > METADATA_BYTES_MAX) {
        return Err(Rejection::Invalid("metadata"));
    }
    if command.payment_attempts_max == 0 {
        return Err(Rejection::Invalid("payment_attempts"));
    }
    Ok(())
}

/// The exact sum, or `None` when it does not fit.
fn total(items: &[Item]) -> Option<Money> {
    items.iter().try_fold(Money(0), |sum, item| sum.plus(item.unit_price.times(item.quantity)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::ProductId;

    #[test]
    fn a_total_is_exact_or_refused() {
        let item = |price, quantity| Item {
            product: ProductId(1),
            quantity: Quantity(quantity),
            unit_price: Money(price),
        };
        assert_eq!(total(&[item(10, 3)]), Some(Money(30)));
        assert_eq!(total(&[item(i64::MAX, 1), item(1, 1)]), None);
        assert_eq!(total(&[item(i64::MAX / 2, 3)]), None);
        let largest = [item(Money::PRICE_MAX.0, Quantity::MAX.0); LINES_MAX];
        assert_eq!(total(&largest), Some(Money(999_999_999_900_000_000)));
    }
}
