//! The minimal sets of writes that bring stock to a required level.
//!
//! A set counts only if no part of it can be left out: what is not needed now can be taken later
//! just as well, and that leaves more choices.

/// What a set must bring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// Exactly this many units.
    Exactly(i64),
    /// At most this many units.
    AtMost(i64),
    /// At least this many units.
    AtLeast(i64),
}

/// Writes with the same effect, of which the first can be taken.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pile {
    /// The units that each brings, not 0.
    pub(super) units: i64,
    pub(super) own: usize,
    pub(super) coins: usize,
}

/// Bounds of one search for sets.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// The most coins in a set.
    pub(super) coins: usize,
    /// The most sets to examine.
    pub(super) sets: usize,
}

/// The sets found, as counts by pile, and whether a bound left any out.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) sets: Vec<Vec<usize>>,
    pub(super) cut: bool,
}

/// All minimal subsets of `piles` that meet `need`.
pub(super) fn least(piles: &[Pile], need: Need, bounds: Bounds) -> Found {
    let mut pick = Pick {
        piles,
        need,
        bounds,
        counts: vec![0; piles.len()],
        rest: rest(piles),
        looked: 0,
        found: Found::default(),
    };
    pick.all(0, 0, 0, &[]);
    pick.found
}

/// The most and the least that the piles from each index on can bring together.
fn rest(piles: &[Pile]) -> Vec<(i64, i64)> {
    let mut rest = vec![(0, 0); piles.len() + 1];
    for (at, pile) in piles.iter().enumerate().rev() {
        let count = i64::try_from(pile.own + pile.coins).unwrap_or(i64::MAX);
        let all = pile.units.saturating_mul(count);
        let (less, more): (i64, i64) = rest[at + 1];
        rest[at] = (less.saturating_add(all.min(0)), more.saturating_add(all.max(0)));
    }
    rest
}

struct Pick<'s> {
    piles: &'s [Pile],
    need: Need,
    bounds: Bounds,
    counts: Vec<usize>,
    rest: Vec<(i64, i64)>,
    looked: usize,
    found: Found,
}

impl Pick<'_> {
    /// Goes through the piles from index `at` on. The piles before brought `sum`; `parts` are the
    /// sums of all their subsets.
    fn all(&mut self, at: usize, sum: i64, coins: usize, parts: &[i64]) {
        self.looked += 1;
        if self.looked > self.bounds.sets {
            self.found.cut = true;
            return;
        }
        let (less, more) = self.rest[at];
        let possible = match self.need {
            Need::Exactly(wanted) => {
                (sum.saturating_add(less)..=sum.saturating_add(more)).contains(&wanted)
            }
            Need::AtMost(wanted) => sum.saturating_add(less) <= wanted,
            Need::AtLeast(wanted) => sum.saturating_add(more) >= wanted,
        };
        if !possible {
            return;
        }
        let Some(pile) = self.piles.get(at).copied() else {
            if self.is_least(sum) {
                self.found.sets.push(self.counts.clone());
            }
            return;
        };
        let (mut sum, mut coins, mut parts) = (sum, coins, parts.to_vec());
        for count in 0..=pile.own + pile.coins {
            if count > 0 {
                if count > pile.own {
                    coins += 1;
                    if coins > self.bounds.coins {
                        self.found.cut = true;
                        break;
                    }
                }
                match self.with(sum, &parts, pile.units) {
                    Some(next) => (sum, parts) = next,
                    None => break,
                }
            }
            self.counts[at] = count;
            self.all(at + 1, sum, coins, &parts);
        }
        self.counts[at] = 0;
    }

    /// Adds one write; `None` when a subset would then bring nothing, or could be left out.
    fn with(&self, sum: i64, parts: &[i64], units: i64) -> Option<(i64, Vec<i64>)> {
        let total = sum.checked_add(units)?;
        match self.need {
            Need::Exactly(_) => {}
            Need::AtMost(wanted) if units > 0 || sum <= wanted => return None,
            Need::AtLeast(wanted) if units < 0 || sum >= wanted => return None,
            Need::AtMost(_) | Need::AtLeast(_) => return Some((total, Vec::new())),
        }
        let mut more = parts.to_vec();
        more.push(units);
        more.extend(parts.iter().filter_map(|part| part.checked_add(units)));
        if more.contains(&0) {
            return None;
        }
        more.sort_unstable();
        more.dedup();
        Some((total, more))
    }

    fn is_least(&self, sum: i64) -> bool {
        let picked = self.piles.iter().zip(&self.counts).filter(|(_, count)| **count > 0);
        let smallest = picked.map(|(pile, _)| pile.units.abs()).min().unwrap_or(0);
        match self.need {
            Need::Exactly(wanted) => sum == wanted,
            Need::AtMost(wanted) => sum <= wanted && sum + smallest > wanted,
            Need::AtLeast(wanted) => sum >= wanted && sum - smallest < wanted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Bounds = Bounds { coins: usize::MAX, sets: 10_000 };

    fn pile(units: i64, own: usize, coins: usize) -> Pile {
        Pile { units, own, coins }
    }

    #[test]
    fn sets_meet_the_need_and_contain_nothing_that_cancels_out() {
        let piles = [pile(-1, 3, 0), pile(-2, 1, 0), pile(1, 2, 0)];
        let mut sets = least(&piles, Need::Exactly(-2), ALL).sets;
        sets.sort();
        assert_eq!(sets, [[0, 1, 0], [2, 0, 0]]);
        assert_eq!(least(&piles, Need::Exactly(0), ALL).sets, [[0, 0, 0]]);
        assert!(least(&piles, Need::Exactly(3), ALL).sets.is_empty());
    }

    #[test]
    fn one_sided_needs_take_no_more_than_enough() {
        let piles = [pile(-1, 2, 0), pile(-3, 1, 0), pile(2, 4, 0)];
        assert_eq!(least(&piles, Need::AtMost(-2), ALL).sets, [[0, 1, 0], [2, 0, 0]]);
        assert_eq!(least(&piles, Need::AtLeast(3), ALL).sets, [[0, 0, 2]]);
    }

    #[test]
    fn a_search_says_when_its_bounds_leave_something_out() {
        let piles = [pile(-1, 0, 5)];
        let found = least(&piles, Need::Exactly(-3), Bounds { coins: 2, sets: 100 });
        assert!(found.sets.is_empty() && found.cut);
        assert!(!least(&piles, Need::Exactly(-3), ALL).cut);
    }
}
