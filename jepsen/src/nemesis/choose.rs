//! Chooses nodes at random, and refuses faults that have no code.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

/// `count` of these at random, without repetition.
pub(super) fn some(ids: &[usize], count: usize, random: &mut StdRng) -> Vec<usize> {
    let mut some: Vec<usize> = ids.choose_multiple(random, count).copied().collect();
    some.sort_unstable();
    some
}

/// The error for a fault without code. Taking another fault instead would make a run prove what it
/// did not do.
pub(super) fn unknown(name: &str) -> String {
    format!("the fault `{name}` has no code: add it to `begin_one`")
}
