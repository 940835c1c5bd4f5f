//! Dry runs: what an order, a batch or a hold would come to, without doing it.

use crate::actor::Actor;
use crate::apply::batch::Step;
use crate::apply::orders::key_name;
use crate::apply::plan::{Plan, Planner, Staged, priced};
use crate::command::{BATCH_ORDERS_MAX, Command, CreateHold, PlaceBatch};
use crate::ids::{HoldId, OrderId, Timestamp};
use crate::keys::{KeyHash, Scope};
use crate::money::Money;
use crate::order::Items;
use crate::outcome::Rejection;
use crate::state::State;

/// What a request would come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Would {
    /// It would place an order with these lines.
    Place {
        /// The lines with their prices.
        items: Items,
        /// Their sum.
        total: Money,
    },
    /// Its key has made this order, or an order before it in the batch would: `None`.
    ReplayOrder(Option<OrderId>),
    /// It would create a hold of these lines.
    Hold {
        /// The lines with the prices that they have now.
        items: Items,
        /// Their sum, unless it is too large.
        total: Option<Money>,
    },
    /// Its key has made this hold.
    ReplayHold(HoldId),
    /// What each order of a batch would come to.
    Batch(Vec<Result<Would, Rejection>>),
}

impl State {
    /// What a command would come to if it was the next one, at `now` or at the replicated clock if
    /// that is later. `None` for commands that are no order, batch or hold.
    ///
    /// An order of a batch that names the hold or the reference of an order before it is refused as
    /// in an atomic batch.
    pub fn rehearse(
        &self,
        command: &Command,
        actor: Actor,
        now: Timestamp,
    ) -> Option<Result<Would, Rejection>> {
        let planner = self.planner_at(now, self.bound_user(actor));
        let refused = (!self.may_act(actor, command)).then_some(Rejection::Unauthorized);
        Some(match (refused, command) {
            (Some(rejection), _) => Err(rejection),
            (_, Command::PlaceOrder(order)) => {
                let used = key_name(order).and_then(|key| self.keys.get(key));
                match used {
                    Some(used) => {
                        let known = self.known_order(order, used);
                        known.map(|id| Would::ReplayOrder(Some(id)))
                    }
                    None => planner.plan_order(order, &Staged::default()).map(Would::from),
                }
            }
            (_, Command::PlaceBatch(batch)) => self.rehearse_batch(planner, batch),
            (_, Command::CreateHold(hold)) => self.rehearse_hold(planner, hold),
            _ => return None,
        })
    }

    fn rehearse_batch(&self, planner: Planner<'_>, batch: &PlaceBatch) -> Result<Would, Rejection> {
        if !(1..=BATCH_ORDERS_MAX).contains(&batch.orders.len()) {
            return Err(Rejection::Invalid("orders"));
        }
        if batch.atomic && self.has_too_many_lines(&batch.orders) {
            return Err(Rejection::Invalid("orders"));
        }
        let (steps, refused) = self.plan_all(planner, &batch.orders);
        if batch.atomic && !refused.is_empty() {
            return Err(Rejection::BatchRefused { items: refused.into() });
        }
        let (mut steps, mut refused) = (steps.into_iter(), refused.into_iter().peekable());
        let results = (0..batch.orders.len()).map(|index| {
            if let Some((_, rejection)) = refused.next_if(|(at, _)| *at == index) {
                return Err(rejection);
            }
            Ok(match steps.next().expect("an order has a step or a refusal") {
                Step::Place(plan, _) => Would::from(plan),
                Step::Known(id) => Would::ReplayOrder(Some(id)),
                Step::Same(_) => Would::ReplayOrder(None),
            })
        });
        Ok(Would::Batch(results.collect()))
    }

    fn rehearse_hold(&self, planner: Planner<'_>, hold: &CreateHold) -> Result<Would, Rejection> {
        let key = hold.key.as_deref().map(|key| KeyHash::of(Scope::Hold, key));
        match key.and_then(|key| self.keys.get(key)) {
            Some(used) => {
                let meaning = self.meaning_of_hold(hold, used.id);
                match self.keys.is_same(Scope::Hold, used, &meaning) {
                    true => Ok(Would::ReplayHold(HoldId(used.id))),
                    false => Err(Rejection::KeyReused),
                }
            }
            None => {
                let plan = planner.plan_hold(hold)?;
                let (items, total) = priced(&hold.lines, &plan.unit_prices);
                Ok(Would::Hold { items, total })
            }
        }
    }
}

impl From<Plan> for Would {
    fn from(Plan { items, total, .. }: Plan) -> Would {
        Would::Place { items, total }
    }
}
