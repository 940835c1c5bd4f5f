//! Chooses nodes at random, and refuses faults that no code carries out.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

/// `count` of these at random, without repetition.
pub(super) fn some(ids: &[usize], count: usize, random: &mut StdRng) -> Vec<usize> {
    let mut some: Vec<usize> = ids.choose_multiple(random, count).copied().collect();
    some.sort_unstable();
    some
}

/// The error for a fault that nobody carries out. Taking another one instead would make a run prove
/// what it did not do.
pub(super) fn unknown(name: &str) -> String {
    format!("no code carries out the fault `{name}`")
}
