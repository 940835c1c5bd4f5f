//! Which commands may be refused for lack of stock without an entry, and what they are answered.
//!
//! Only a question to a state: that the state is new enough is the caller's affair.

use engine::command::Command;
use engine::ids::Timestamp;
use engine::outcome::{Outcome, Rejection};
use engine::state::State;

/// Whether a command asks for units of products, so that they may be lacking.
pub(crate) fn is_order_or_hold(command: &Command) -> bool {
    matches!(command, Command::PlaceOrder(_) | Command::PlaceBatch(_) | Command::CreateHold(_))
}

/// What the command would be answered now, if all that would come of it is a refusal for lack of
/// stock. `None` when the log has to decide.
pub(crate) fn lacks_stock(state: &State, command: &Command, now: Timestamp) -> Option<Outcome> {
    match command {
        Command::PlaceOrder(order) => state.lacks_stock(order, now).map(Outcome::Rejected),
        Command::PlaceBatch(batch) => state.batch_lacks_stock(batch, now),
        Command::CreateHold(hold) => state.hold_lacks_stock(hold, now).map(Outcome::Rejected),
        _ => None,
    }
}

/// How many orders such an answer refuses, counted as the log counts them.
pub(crate) fn orders_refused(outcome: &Outcome) -> u64 {
    match outcome {
        Outcome::Batch(outcomes) => outcomes.len() as u64,
        Outcome::Rejected(Rejection::BatchRefused { items }) => items.len() as u64,
        _ => 1,
    }
}
