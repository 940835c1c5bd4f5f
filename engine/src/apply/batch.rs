//! Placing many orders with one command: each by itself, or all or none.

use std::collections::BTreeMap;

use smallvec::SmallVec;

use crate::apply::context::{Context, FETCHED_AT_ONCE};
use crate::apply::orders::{key_name, meaning};
use crate::apply::plan::{Plan, Planner, Staged};
use crate::command::{BATCH_LINES_MAX, BATCH_ORDERS_MAX, PlaceBatch, PlaceOrder};
use crate::hold::Status;
use crate::ids::{HoldId, OrderId, ProductId, Timestamp};
use crate::keys::{KeyHash, Scope};
use crate::outcome::{Outcome, Rejection};
use crate::product::Product;
use crate::state::State;

/// What an order of an atomic batch will do.
pub(crate) enum Step {
    /// It will be placed, under this key.
    Place(Plan, Option<KeyHash>),
    /// Its key made this order before.
    Known(OrderId),
    /// An earlier order of the batch, at this index, has the same key and meaning.
    Same(usize),
}

impl State {
    /// Places the orders of a batch.
    pub(crate) fn place_batch(
        &mut self,
        cx: &mut Context<'_>,
        command: PlaceBatch,
    ) -> Result<Outcome, Rejection> {
        if !(1..=BATCH_ORDERS_MAX).contains(&command.orders.len()) {
            return Err(Rejection::Invalid("orders"));
        }
        if command.atomic && self.has_too_many_lines(&command.orders) {
            return Err(Rejection::Invalid("orders"));
        }
        match command.atomic {
            true => self.place_all(cx, command.orders),
            false => Ok(self.place_each(cx, command.orders)),
        }
    }

    /// The answer to this batch, placed now, if it would place nothing and that needs no entry;
    /// like [`State::refusal_of_order`] for one order. `None` when the log has to decide.
    ///
    /// Of independent orders, each must be refused so. An atomic batch may contain orders that
    /// could be placed, but it must have no other fault.
    pub fn refusal_of_batch(&self, command: &PlaceBatch, now: Timestamp) -> Option<Outcome> {
        if !(1..=BATCH_ORDERS_MAX).contains(&command.orders.len()) {
            return None;
        }
        if !command.atomic {
            let refused = |order| self.refusal_of_order(order, now).map(Outcome::Rejected);
            return command.orders.iter().map(refused).collect::<Option<_>>().map(Outcome::Batch);
        }
        let is_long = self.has_too_many_lines(&command.orders);
        if is_long || self.may_expire_by(now) || !self.may_be_refused(&command.orders) {
            return None;
        }
        let (_, refused) = self.plan_all(self.planner_at(now, None), &command.orders);
        let none_needs = refused.iter().all(|(_, reason)| self.needs_no_entry(reason, now));
        (none_needs && !refused.is_empty())
            .then(|| Outcome::Rejected(Rejection::BatchRefused { items: refused.into() }))
    }

    /// Whether some order may lack stock, or be of a sale that is not open at the replicated clock.
    /// A quick check that saves planning a batch twice when it can be filled.
    fn may_be_refused(&self, orders: &[PlaceOrder]) -> bool {
        let is_shut = |id| {
            self.products.active(id).is_some_and(|row: &Product| !row.sale.is_open_at(self.clock))
        };
        let mut lines = orders.iter().flat_map(|order| &order.lines);
        lines.any(|line| is_shut(line.product)) || self.asks_too_much(orders)
    }

    /// Whether an atomic batch of these orders would hold up all others.
    pub(crate) fn has_too_many_lines(&self, orders: &[PlaceOrder]) -> bool {
        self.level() > 0
            && orders.iter().map(|it| self.lines_of(it)).sum::<usize>() > BATCH_LINES_MAX
    }

    /// How many lines an order has: those that it names, or those of the active hold that it takes
    /// over.
    pub fn lines_of(&self, order: &PlaceOrder) -> usize {
        let active = |id: &HoldId| self.holds.status(*id) == Some(Status::Active);
        let hold = order.hold.filter(active).and_then(|id| self.holds.resident(id));
        hold.map_or(order.lines.len(), |hold| hold.lines.len())
    }

    /// Whether the orders together request more units of a product than are available. Without
    /// excess, no order lacks stock.
    fn asks_too_much(&self, orders: &[PlaceOrder]) -> bool {
        let mut units: BTreeMap<ProductId, u64> = BTreeMap::new();
        for line in orders.iter().flat_map(|order| &order.lines) {
            // At most a thousand orders of a hundred lines of a million units.
            *units.entry(line.product).or_default() += u64::from(line.quantity.0);
        }
        units.into_iter().any(|(product, units)| {
            let available = self.products.active(product).map_or(0, |row| row.stock.available());
            i64::try_from(units).is_ok_and(|units| units > available)
        })
    }

    /// Places each order as if it had come alone.
    fn place_each(&mut self, cx: &mut Context<'_>, orders: Vec<PlaceOrder>) -> Outcome {
        let mut outcomes = Vec::with_capacity(orders.len());
        let mut orders = orders.into_iter();
        let mut keys: SmallVec<[Option<KeyHash>; FETCHED_AT_ONCE]> = SmallVec::new();
        while orders.len() > 0 {
            let next = orders.as_slice().iter().take(FETCHED_AT_ONCE);
            keys.extend(next.clone().map(key_name));
            // Only loads, one after the other, so that the processor waits for all of them at once.
            next.zip(&keys).for_each(|(order, key)| self.fetch_placing(order, *key));
            for (key, order) in keys.drain(..).zip(orders.by_ref()) {
                outcomes.push(self.place_order(cx, order, key).unwrap_or_else(|rejection| {
                    self.totals.reject(&rejection);
                    Outcome::Rejected(rejection)
                }));
            }
        }
        Outcome::Batch(outcomes)
    }

    /// Plans all orders, each on top of the ones before it, and then places them.
    ///
    /// Units that an order sets free at once, because a report of its failed payment was waiting,
    /// count only for the next command.
    fn place_all(
        &mut self,
        cx: &mut Context<'_>,
        orders: Vec<PlaceOrder>,
    ) -> Result<Outcome, Rejection> {
        let (steps, refused) = self.plan_all(self.planner(), &orders);
        #[cfg(feature = "planted-bugs")]
        if crate::planted::is_planted(crate::planted::Bug::BatchInPart) {
            let is_refused = |index| refused.iter().any(|(other, _)| *other == index);
            let kept = orders.into_iter().enumerate().filter(|(index, _)| !is_refused(*index));
            return Ok(self.place_each(cx, kept.map(|(_, order)| order).collect()));
        }
        if !refused.is_empty() {
            for (index, reason) in &refused {
                self.tell_refused(cx, &orders[*index], reason);
            }
            return Err(Rejection::BatchRefused { items: refused.into() });
        }
        let mut outcomes: Vec<Outcome> = Vec::with_capacity(orders.len());
        for (order, step) in orders.into_iter().zip(steps) {
            let outcome = match step {
                Step::Place(plan, key) => Outcome::Placed(self.create_order(cx, order, key, plan)),
                Step::Known(id) => self.replayed(id),
                Step::Same(index) => match outcomes[index] {
                    Outcome::Placed(id) | Outcome::Replayed(id) => self.replayed(id),
                    _ => unreachable!("an atomic batch places or replays"),
                },
            };
            outcomes.push(outcome);
        }
        Ok(Outcome::Batch(outcomes))
    }

    /// What the orders of an atomic batch will do, or all that is wrong with it. A refused order
    /// counts for nothing in the plans of the following ones.
    pub(crate) fn plan_all(
        &self,
        planner: Planner<'_>,
        orders: &[PlaceOrder],
    ) -> (Vec<Step>, Vec<(usize, Rejection)>) {
        let mut staged = Staged::default();
        let (mut steps, mut refused) = (Vec::with_capacity(orders.len()), Vec::new());
        for (index, order) in orders.iter().enumerate() {
            match self.plan_step(planner, order, index, &mut staged) {
                Ok(step) => steps.push(step),
                Err(reason) => refused.push((index, reason)),
            }
        }
        (steps, refused)
    }

    fn plan_step(
        &self,
        planner: Planner<'_>,
        order: &PlaceOrder,
        index: usize,
        staged: &mut Staged,
    ) -> Result<Step, Rejection> {
        let key = order.key.as_deref().map(|key| KeyHash::of(Scope::Order, key));
        if let Some(used) = key.and_then(|key| self.keys.get(key)) {
            return self.known_order(order, used).map(Step::Known);
        }
        // The order that the key will make does not exist yet, so its meaning is not short.
        let fingerprint = || self.keys.used(Scope::Order, u64::MAX, &meaning(order)).fingerprint;
        if let Some(&(first, staged)) = key.and_then(|key| staged.keys.get(&key)) {
            return match staged == fingerprint() {
                true => Ok(Step::Same(first)),
                false => Err(Rejection::KeyReused),
            };
        }
        let plan = planner.plan_order(order, staged)?;
        planner.stage(staged, order, &plan);
        if let Some(key) = key {
            staged.keys.insert(key, (index, fingerprint()));
        }
        Ok(Step::Place(plan, key))
    }
}
