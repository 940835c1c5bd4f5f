//! What the simulator (crate `raft-sim`) needs of this crate beyond its public items.
//!
//! This module exists only with the feature `simulation`. It owns nothing: each item names what
//! production uses, so simulated nodes decide as real ones do.

use engine::command::Command;
use engine::ids::Timestamp;
use engine::outcome::Outcome;
use engine::state::State;

use crate::core::Append;
pub use crate::planted::{Bug, plant};
use crate::{driver, refusals};

/// Adds `next` to `append`. Gives `next` back when it replaces entries of `append` or installs a
/// snapshot.
pub fn merge(append: &mut Append, next: Append) -> Option<Append> {
    driver::merge(append, next)
}

/// Returns whether a command asks for units of products.
pub fn is_order_or_hold(command: &Command) -> bool {
    refusals::is_order_or_hold(command)
}

/// Returns the answer to a command that is refused and needs no entry for that, and `None` when the
/// log has to decide.
pub fn refusal(state: &State, command: &Command, now: Timestamp) -> Option<Outcome> {
    refusals::refusal(state, command, now)
}
