//! Choosing nodes at random.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

/// `count` of these at random, without repetition.
pub(super) fn some(ids: &[usize], count: usize, random: &mut StdRng) -> Vec<usize> {
    let mut some: Vec<usize> = ids.choose_multiple(random, count).copied().collect();
    some.sort_unstable();
    some
}
