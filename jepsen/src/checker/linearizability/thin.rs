//! Which states need not be examined, because another one can do everything that they can.
//!
//! One state covers another when it has the same stock, has given all answers that the other has
//! given, and can still take everything that the other can: the same writes or ones that may happen
//! later, coins where the other has a time limit, small coins instead of a large one.

use std::collections::HashMap;

use smallvec::SmallVec;

use super::problem::Saw;
use super::state::{Board, Kind, State};

/// What matters about a state, computed once.
struct Sum {
    state: State,
    /// Reads that have got their result.
    seen: SmallVec<[u64; 2]>,
    /// Writes with a bit that were not taken, by class; each list is sorted by when they are due.
    own: SmallVec<[SmallVec<[u64; 4]>; 8]>,
    rank: i64,
}

/// The states that no other covers, those with the most choices first. Of states that differ
/// little, at most `most` are compared.
pub(super) fn without_covered(board: &Board<'_>, states: Vec<State>, most: usize) -> Vec<State> {
    let first = &states[0].bits;
    let mut looks: SmallVec<[u64; 2]> = SmallVec::from_elem(0, first.len());
    let mut special = looks.clone();
    for (_, slot) in &board.looks {
        looks[slot / 64] |= 1 << (slot % 64);
    }
    let is_plain = |write: usize| board.writes.kinds[write] == Kind::Own { plain: true };
    for live in board.live.iter().filter(|live| !is_plain(live.write)) {
        special[live.slot / 64] |= 1 << (live.slot % 64);
    }
    let masked = |state: &State, mask: &[u64]| -> SmallVec<[u64; 2]> {
        state.bits.iter().zip(mask).map(|(bits, mask)| bits & mask).collect()
    };
    let mut groups: HashMap<_, Vec<Sum>> = HashMap::new();
    for state in states {
        let mut own: SmallVec<[SmallVec<[u64; 4]>; 8]> =
            SmallVec::from_elem(SmallVec::new(), board.writes.classes.len());
        for live in board.live.iter().filter(|live| is_plain(live.write)) {
            if !state.has(live.slot) {
                own[board.writes.class[live.write]].push(live.until);
            }
        }
        let seen = masked(&state, &looks);
        let bits: u32 = seen.iter().map(|bits| bits.count_ones()).sum();
        let coins: usize = state.coins.iter().map(|coins| usize::from(*coins)).sum();
        let far: i64 = board
            .looks
            .iter()
            .filter(|(_, slot)| !state.has(*slot))
            .map(|(look, _)| match &board.part.looks[*look].saw {
                Saw::Stock(product, stock) => (state.stock[*product] - stock).abs().min(20),
                Saw::TooFew(..) => 1,
            })
            .sum();
        let rank = 2 * coins as i64 + 2 * i64::from(bits) - far;
        let key = (state.stock.clone(), masked(&state, &special));
        groups.entry(key).or_default().push(Sum { state, seen, own, rank });
    }
    let mut kept_of_all: Vec<Sum> = Vec::new();
    for mut group in groups.into_values() {
        group.sort_by(order);
        let mut kept: Vec<Sum> = Vec::new();
        for sum in group.into_iter().take(most) {
            if !kept.iter().any(|other| covers(board, other, &sum)) {
                kept.push(sum);
            }
        }
        kept_of_all.extend(kept);
    }
    // Sets of states have no order, and one history must give one result.
    kept_of_all.sort_by(order);
    kept_of_all.into_iter().map(|sum| sum.state).collect()
}

fn order(one: &Sum, other: &Sum) -> std::cmp::Ordering {
    let key =
        |sum: &Sum| (sum.state.stock.clone(), sum.state.coins.clone(), sum.state.bits.clone());
    other.rank.cmp(&one.rank).then_with(|| key(one).cmp(&key(other)))
}

/// Whether `one` can do everything that `other` can.
fn covers(board: &Board<'_>, one: &Sum, other: &Sum) -> bool {
    if one.seen.iter().zip(&other.seen).any(|(mine, theirs)| theirs & !mine != 0) {
        return false;
    }
    let single = board.part.products.len() == 1;
    let mut spare = [0_i64; 2];
    let mut wanted = [0_i64; 2];
    for (number, class) in board.writes.classes.iter().enumerate() {
        let (mine, theirs) = (&one.own[number], &other.own[number]);
        let Some(over) = theirs.len().checked_sub(mine.len()) else { return false };
        if !keep_time(mine, theirs) {
            return false;
        }
        let coins = |sum: &Sum| i64::from(sum.state.coins[number]);
        let more = coins(one) - coins(other) - over as i64;
        let units = class.units[0].1;
        let simple = single && class.back.is_none();
        let side = usize::from(units > 0);
        match more {
            1.. if simple && units.abs() == 1 => spare[side] += more,
            ..=-1 if !simple => return false,
            ..=-1 => wanted[side] += -more * units.abs(),
            0.. => {}
        }
    }
    wanted[0] <= spare[0] && wanted[1] <= spare[1]
}

/// Whether each of `mine` has one of `theirs` that is due no later, so that it is taken in time
/// when that one is.
fn keep_time(mine: &[u64], theirs: &[u64]) -> bool {
    // Both are sorted: match the latest of mine with the latest of theirs that is early enough.
    let mut left = theirs.len();
    for until in mine.iter().rev() {
        loop {
            let Some(next) = left.checked_sub(1) else { return false };
            left = next;
            if theirs[left] <= *until {
                break;
            }
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_that_is_due_later_covers_one_that_is_due_sooner() {
        assert!(keep_time(&[], &[1]));
        assert!(keep_time(&[3, 5], &[2, 5]));
        assert!(keep_time(&[5], &[2, 9]));
        assert!(!keep_time(&[1], &[2]));
        assert!(!keep_time(&[2, 2], &[1, 3]));
        assert!(!keep_time(&[2, 4], &[1]));
    }
}
