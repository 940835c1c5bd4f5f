//! Which commands may be refused without an entry, and their answers: for lack of stock, or because
//! a sale is not open.
//!
//! These functions only read a state. The caller ensures that the state is new enough.

use engine::command::Command;
use engine::ids::Timestamp;
use engine::order::Line;
use engine::outcome::{Outcome, Rejection};
use engine::state::State;

/// Returns whether a command asks for units of products.
pub(crate) fn is_order_or_hold(command: &Command) -> bool {
    matches!(command, Command::PlaceOrder(_) | Command::PlaceBatch(_) | Command::CreateHold(_))
}

/// Returns whether a batch takes units of holds. A single order from a hold never lacks stock.
pub(crate) fn names_holds(command: &Command) -> bool {
    matches!(command, Command::PlaceBatch(batch) if batch.orders.iter().any(|it| it.hold.is_some()))
}

/// Returns whether a command may be refused without an entry. Faster than [`refusal`], which is
/// `None` at the replicated clock whenever this is false. Most orders can be filled and need not be
/// planned twice.
pub(crate) fn may_refuse(state: &State, command: &Command) -> bool {
    let lines = match command {
        Command::PlaceOrder(order) if order.hold.is_none() => &order.lines,
        Command::CreateHold(hold) => &hold.lines,
        // A batch holds more than lines, and an order from a hold has its units already.
        Command::PlaceBatch(_) => return true,
        _ => return false,
    };
    // Assume that all lines are of one product. If that has enough, each product has.
    let units = lines.iter().map(|line| i64::from(line.quantity.0)).sum();
    let has_enough = |line: &Line| {
        state.product(line.product).is_none_or(|product| {
            product.stock.available() >= units && product.sale.is_open_at(state.clock())
        })
    };
    !lines.iter().all(has_enough)
}

/// Returns the answer to a command that is refused and needs no entry for that. `None` when the log
/// has to decide. `now` is the leader's clock at some moment of the request.
pub(crate) fn refusal(state: &State, command: &Command, now: Timestamp) -> Option<Outcome> {
    match command {
        Command::PlaceOrder(order) => state.refusal_of_order(order, now).map(Outcome::Rejected),
        Command::PlaceBatch(batch) => state.refusal_of_batch(batch, now),
        Command::CreateHold(hold) => state.refusal_of_hold(hold, now).map(Outcome::Rejected),
        _ => None,
    }
}

/// The number of orders that this answer refuses, counted as the log counts them, and how many of
/// them lacked stock.
pub(crate) fn orders_refused(outcome: &Outcome) -> (u64, u64) {
    let lacks = |reason: &Rejection| matches!(reason, Rejection::InsufficientStock { .. });
    let count = |reasons: &mut dyn Iterator<Item = &Rejection>| {
        reasons.fold((0, 0), |(all, lacking), reason| (all + 1, lacking + u64::from(lacks(reason))))
    };
    match outcome {
        Outcome::Batch(outcomes) => {
            count(&mut outcomes.iter().filter_map(|outcome| match outcome {
                Outcome::Rejected(reason) => Some(reason),
                _ => None,
            }))
        }
        Outcome::Rejected(Rejection::BatchRefused { items }) => {
            count(&mut items.iter().map(|(_, reason)| reason))
        }
        Outcome::Rejected(reason) => count(&mut std::iter::once(reason)),
        _ => (0, 0),
    }
}

#[cfg(test)]
mod tests {
    use engine::actor::Actor;
    use engine::command::{CreateHold, CreateProduct, Envelope, PlaceOrder};
    use engine::entry;
    use engine::ids::{HoldId, NodeId, ProductId, Quantity, RequestId};
    use engine::layout::Added;
    use engine::order::PaymentMethod;
    use engine::state::Unobserved;
    use engine::trace::TraceId;

    use super::*;

    /// A state with two products: three units of the first, a million of the other.
    fn state() -> State {
        let mut state = State::new();
        let mut entry = entry::Builder::new(Timestamp(1));
        for (seq, stock) in [(1, 3), (2, 1_000_000)] {
            let request = RequestId { node: NodeId(1), boot: 1, seq };
            let product = CreateProduct { name: "x".into(), stock, ..CreateProduct::default() };
            let command = Command::CreateProduct(product);
            entry.push(
                &Envelope { request, trace: TraceId::NONE, actor: Actor::Nobody, command }.encode(),
            );
        }
        state.apply(1, 1, &entry.finish(), &mut Unobserved).expect("an entry");
        state
    }

    fn lines(wanted: &[(u64, u32)]) -> Vec<Line> {
        let line = |&(product, quantity)| Line {
            product: ProductId(product),
            quantity: Quantity(quantity),
        };
        wanted.iter().map(line).collect()
    }

    fn order(hold: Option<HoldId>, lines: Vec<Line>) -> PlaceOrder {
        PlaceOrder {
            user: None,
            hold,
            lines,
            payment_method: PaymentMethod::Mock,
            key: None,
            metadata: None,
            payment_attempts_max: 1,
            payment_deadline_ms: 1,
            open_orders_max: 9,
            require_user: false,
            terms: Added::default(),
        }
    }

    #[test]
    fn the_quick_look_overlooks_no_lack_and_lets_plain_orders_through() {
        let state = state();
        let now = Timestamp(0);
        let mut lacking = 0;
        for first in 1..6 {
            for (product, second) in (1..4).flat_map(|product| [(product, 1), (product, 4)]) {
                let lines = lines(&[(1, first), (product, second)]);
                let hold = CreateHold {
                    user: None,
                    lines: lines.clone(),
                    ttl_ms: 1,
                    key: None,
                    ttl_max_ms: 1,
                    active_holds_max: 9,
                    require_user: false,
                    ttl_is_default: Added::default(),
                };
                let commands = [Command::PlaceOrder(order(None, lines)), Command::CreateHold(hold)];
                for command in commands {
                    let lacks = refusal(&state, &command, now).is_some();
                    lacking += u32::from(lacks);
                    assert!(!lacks || may_refuse(&state, &command), "{command:?}");
                }
            }
        }
        assert!(lacking > 0, "some of them cannot be filled");
        let plain = |wanted| Command::PlaceOrder(order(None, lines(wanted)));
        assert!(may_refuse(&state, &plain(&[(1, 4)])));
        assert!(!may_refuse(&state, &plain(&[(1, 3)])));
        assert!(!may_refuse(&state, &plain(&[(2, 4), (2, 4)])));
        assert!(!may_refuse(&state, &plain(&[(7, 4)])), "the log knows what is missing");
        assert!(!may_refuse(&state, &Command::PlaceOrder(order(Some(HoldId(1)), Vec::new()))));
    }
}
