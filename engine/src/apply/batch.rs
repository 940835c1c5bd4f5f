//! Placing many orders with one command, each by itself or all or none.

use crate::apply::Context;
use crate::apply::orders::fingerprint;
use crate::apply::plan::{Plan, Staged};
use crate::command::{BATCH_ORDERS_MAX, PlaceBatch, PlaceOrder};
use crate::ids::OrderId;
use crate::keys::{KeyHash, Scope};
use crate::outcome::{Outcome, Rejection};
use crate::state::State;

/// What an order of an atomic batch will do.
enum Step {
    /// It will be placed, under this key.
    Place(Plan, Option<KeyHash>),
    /// Its key made this order before.
    Known(OrderId),
    /// The order at this index of the batch has the same key and means the same.
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
        match command.atomic {
            true => self.place_all(cx, command.orders),
            false => Ok(self.place_each(cx, command.orders)),
        }
    }

    /// Places each order as if it had come alone.
    fn place_each(&mut self, cx: &mut Context<'_>, orders: Vec<PlaceOrder>) -> Outcome {
        let mut outcomes = Vec::with_capacity(orders.len());
        for order in orders {
            outcomes.push(self.place_order(cx, order).unwrap_or_else(|rejection| {
                self.totals.reject(&rejection);
                Outcome::Rejected(rejection)
            }));
        }
        Outcome::Batch(outcomes)
    }

    /// Plans all orders, each over what those before it will take, and only then places them.
    ///
    /// What an order may set free again, because a report that its payment failed was waiting for
    /// it, counts for the next command only.
    fn place_all(
        &mut self,
        cx: &mut Context<'_>,
        orders: Vec<PlaceOrder>,
    ) -> Result<Outcome, Rejection> {
        let mut staged = Staged::default();
        let mut steps = Vec::with_capacity(orders.len());
        let mut refused = Vec::new();
        // All that is wrong is told at once; what was refused counts for nothing that follows.
        for (index, order) in orders.iter().enumerate() {
            match self.plan_step(order, index, &mut staged) {
                Ok(step) => steps.push(step),
                Err(reason) => refused.push((index, reason)),
            }
        }
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

    fn plan_step(
        &self,
        order: &PlaceOrder,
        index: usize,
        staged: &mut Staged,
    ) -> Result<Step, Rejection> {
        let key = order.key.as_deref().map(|key| KeyHash::of(Scope::Order, key));
        if let Some(used) = key.and_then(|key| self.keys.get(key)) {
            return Self::known_order(order, used).map(Step::Known);
        }
        if let Some(&(first, meaning)) = key.and_then(|key| staged.keys.get(&key)) {
            return match meaning == fingerprint(order) {
                true => Ok(Step::Same(first)),
                false => Err(Rejection::KeyReused),
            };
        }
        let plan = self.plan_order(order, staged)?;
        self.stage(staged, order, &plan);
        if let Some(key) = key {
            staged.keys.insert(key, (index, fingerprint(order)));
        }
        Ok(Step::Place(plan, key))
    }
}
