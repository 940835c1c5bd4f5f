//! Placing and cancelling orders.

use crate::apply::context::Context;
use crate::apply::plan::{Plan, Staged};
use crate::command::{CancelOrder, PlaceOrder};
use crate::event::{Kind, OrderChange};
use crate::ids::{OrderId, ProductId, Timestamp, UserId};
use crate::keys::{self, KeyHash, Meaning, Scope, Used};
use crate::ledger::{self, Delta};
use crate::order::{
    Cause, History, HistoryRow, Order, PaymentMethod, PaymentTask, REASON_BYTES_MAX, Status,
};
use crate::outcome::{Outcome, Rejection};
use crate::rolling::{Origin, Source};
use crate::state::State;

impl State {
    /// Prefetches what adding an order reads.
    pub(crate) fn fetch_order(
        &self,
        key: Option<KeyHash>,
        user: Option<UserId>,
        products: impl Iterator<Item = ProductId>,
    ) {
        key.iter().for_each(|key| self.keys.fetch(*key));
        user.iter().for_each(|user| self.users.fetch(*user));
        products.for_each(|product| self.products.fetch(product));
    }

    /// Prefetches what placing an order reads. `key` is its hashed key.
    pub(crate) fn fetch_placing(&self, command: &PlaceOrder, key: Option<KeyHash>) {
        let products = command.lines.iter().map(|line| line.product);
        self.fetch_order(key, command.user, products);
    }

    /// Validates, prices, reserves, creates the order, records its key and its payment task: all or
    /// nothing. `key` is the hashed key of the command.
    pub(crate) fn place_order(
        &mut self,
        cx: &mut Context<'_>,
        command: PlaceOrder,
        key: Option<KeyHash>,
    ) -> Result<Outcome, Rejection> {
        // The key comes first: a request that was executed before is answered with its order,
        // whatever has changed since.
        if let Some(used) = key.and_then(|key| self.keys.get(key)) {
            return self.known_order(&command, used).map(|order| self.replayed(order));
        }
        let plan = match self.planner().plan_order(&command, &Staged::default()) {
            Ok(plan) => plan,
            Err(rejection) => {
                self.tell_refused(cx, &command, &rejection);
                return Err(rejection);
            }
        };
        Ok(Outcome::Placed(self.create_order(cx, command, key, plan)))
    }

    /// Why this order, placed now, would be refused, if that needs no entry: for lack of stock, or
    /// because a sale is not open.
    ///
    /// Such a refusal changes nothing, so a state that is as new as a linearizable read may answer
    /// it at once. `now` is the leader's clock at some moment of the request. `None` when the log
    /// has to decide: the key is known, anything else is wrong, or a deadline is due by `now` that
    /// would return units.
    pub fn refusal_of_order(&self, command: &PlaceOrder, now: Timestamp) -> Option<Rejection> {
        // Most orders can be filled, so the stock is checked before the key.
        let planner = self.planner_at(now, None);
        let reason = planner.plan_order(command, &Staged::default()).err()?;
        let key = command.key.as_deref();
        (self.needs_no_entry(&reason, now) && !self.is_known(Scope::Order, key)).then_some(reason)
    }

    /// Whether this reason may be answered without an entry.
    pub(crate) fn needs_no_entry(&self, reason: &Rejection, now: Timestamp) -> bool {
        match reason {
            // Units that would return could be sold.
            Rejection::InsufficientStock { .. } => !self.may_expire_by(now),
            // The log stood at `now` or earlier within the request, and the sale opens later.
            Rejection::SaleNotOpen { .. } => true,
            // The answer leaves no trace, and the next leader's clock may be behind `now`: by that
            // clock the sale would be open again.
            Rejection::SaleClosed { closes_at, .. } => {
                #[cfg(feature = "planted-bugs")]
                if crate::planted::is_planted(crate::planted::Bug::ClosedByLeaderClock) {
                    return true;
                }
                *closes_at <= self.clock
            }
            _ => false,
        }
    }

    /// Whether a key has made something.
    pub(crate) fn is_known(&self, scope: Scope, key: Option<&str>) -> bool {
        key.is_some_and(|key| self.keys.get(KeyHash::of(scope, key)).is_some())
    }

    /// Emits an event about an order that was refused for lack of stock.
    pub(crate) fn tell_refused(
        &mut self,
        cx: &mut Context<'_>,
        command: &PlaceOrder,
        rejection: &Rejection,
    ) {
        if let Rejection::InsufficientStock { product, .. } = *rejection {
            self.tell(cx, Kind::OrderRejected { product, user: command.user });
        }
    }

    /// The order that a used key made, if this request means the same.
    pub(crate) fn known_order(
        &self,
        command: &PlaceOrder,
        used: Used,
    ) -> Result<OrderId, Rejection> {
        let order = used.order().ok_or(Rejection::KeyFenced)?;
        match self.keys.is_same(Scope::Order, used, &meaning(command)) {
            true => Ok(order),
            false => Err(Rejection::KeyReused),
        }
    }

    /// Counts a request that is answered with the order that it had made before.
    pub(crate) fn replayed(&mut self, order: OrderId) -> Outcome {
        self.totals.orders_replayed += 1;
        Outcome::Replayed(order)
    }

    /// Carries out a plan. Nothing can refuse it any more.
    pub(crate) fn create_order(
        &mut self,
        cx: &mut Context<'_>,
        command: PlaceOrder,
        key: Option<KeyHash>,
        plan: Plan,
    ) -> OrderId {
        let id = OrderId(self.orders.len() + 1);
        if let Some(key) = key {
            let used = self.keys.used(Scope::Order, id.0, &meaning(&command));
            assert!(self.keys.insert(key, used), "an unused key was looked up before");
        }
        let reference = command.terms.0.reference;
        if let Some(reference) = &reference {
            let name = KeyHash::of(Scope::Reference, reference);
            assert!(self.keys.insert(name, Used::by(id)), "it was looked up before");
        }
        if let Some(hold) = command.hold {
            self.consume_hold(cx, hold, id);
        }
        let mut history = History::new();
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
            user: plan.user,
            hold: command.hold,
            user_of_hold: command.user.is_none() && plan.user.is_some(),
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
            task: command.payment_method.has_worker().then_some(PaymentTask {
                attempt: 1,
                attempts_max: command.payment_attempts_max,
                unanswered: 0,
                due: cx.at,
                claim: None,
            }),
            payment_deadline: (command.payment_method == PaymentMethod::Webhook)
                .then(|| cx.at.plus_ms(command.payment_deadline_ms)),
            history,
            reference,
        };
        if let Some(task) = &order.task {
            self.tasks.insert(order.payment_method, task.due, id);
        }
        if let Some(deadline) = order.payment_deadline {
            self.deadlines.insert(deadline, id);
        }
        let user = order.user;
        self.orders.push(order);
        if let Some(user) = user {
            self.users.post(user, id, self.orders.statuses());
        }
        self.totals.orders_created += 1;
        self.tell_order(cx, id, OrderChange::Placed);
        for demand in plan.demands {
            let source = Source::Order(id);
            self.take(user, Origin { at: cx.at, position: cx.position, source }, demand);
            self.products.post(demand.product, id, self.orders.statuses());
            let reserved = demand.signed();
            let (held, cause) = match command.hold {
                Some(_) => (-reserved, ledger::Cause::HoldConsume(id)),
                None => (0, ledger::Cause::Order(id)),
            };
            let delta = Delta { held, reserved, ..Delta::default() };
            self.shift(cx, demand.product, delta, cause);
        }
        self.drain_parked(cx, id);
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
        if self.planner().is_foreign_order(id) {
            return Err(Rejection::OrderNotFound);
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

/// The hashed key of a request.
pub(crate) fn key_name(command: &PlaceOrder) -> Option<KeyHash> {
    command.key.as_deref().map(|key| KeyHash::of(Scope::Order, key))
}

/// The meaning of a request for an order.
pub(crate) fn meaning(command: &PlaceOrder) -> Meaning {
    keys::of_order(
        command.user,
        command.hold,
        command.lines.iter().copied(),
        command.payment_method,
        command.metadata.as_deref(),
        command.terms.reference.as_deref(),
    )
}
