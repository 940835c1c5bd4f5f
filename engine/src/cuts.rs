//! How positions follow from log indexes.
//!
//! A position is below 2^53. At level 0 an index has 2^20 positions, though an entry never holds
//! that many commands, so a busy log has positions for some weeks only. A cut gives the entries
//! after it 2^12 positions each. They begin above all positions before the cut, so the order of
//! positions stays that of the log and no stored row changes.

use bincode::{Decode, Encode};

use crate::ids::Position;

/// How many commands an entry may contain, in bits: after a cut, and before any.
const SHIFT: u32 = 12;
const SHIFT_AT_LEVEL_0: u32 = 20;
/// Positions are below this, so that every JSON number represents them exactly.
const POSITION_BITS: u32 = 53;

/// The cuts of a log, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Cuts(Vec<Cut>);

/// From an index on, how many positions each entry has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
struct Cut {
    /// The first position of the first entry.
    origin: u64,
    /// The index of the first entry.
    first_index: u64,
    /// Bits of a command's number in its entry.
    shift: u32,
}

/// The cut before all others.
const UNCUT: Cut = Cut { origin: 0, first_index: 0, shift: SHIFT_AT_LEVEL_0 };

impl Cuts {
    /// The position of command `n` of the entry at `index`.
    ///
    /// # Panics
    /// When `n` is not below [`Cuts::commands_max`]. Apply refuses such entries.
    pub fn position(&self, index: u64, n: u64) -> Position {
        let cut = self.at_index(index);
        assert!(n < 1 << cut.shift, "entry contains too many commands");
        Position(cut.origin + ((index - cut.first_index) << cut.shift | n))
    }

    /// The log index of the entry that has a position.
    pub fn index_of(&self, position: Position) -> u64 {
        let cut = self.at_position(position);
        cut.first_index + ((position.0 - cut.origin) >> cut.shift)
    }

    /// The number of the command at a position, in its entry.
    pub fn command_of(&self, position: Position) -> u64 {
        let cut = self.at_position(position);
        (position.0 - cut.origin) & ((1 << cut.shift) - 1)
    }

    /// How many commands the entry at an index may contain.
    pub fn commands_max(&self, index: u64) -> u64 {
        1 << self.at_index(index).shift
    }

    /// The highest log index that has positions. A node stops before the next one.
    pub fn index_max(&self) -> u64 {
        let cut = self.last();
        cut.first_index + (((1 << POSITION_BITS) - cut.origin) >> cut.shift) - 1
    }

    /// The share of all indexes that a log at `index` has left, from 0 to 1, in millionths.
    pub fn headroom_ppm(&self, index: u64) -> u64 {
        let left = self.index_max().saturating_sub(index);
        u64::try_from(u128::from(left) * 1_000_000 / u128::from(self.index_max()))
            .expect("it is at most a million")
    }

    /// Cuts after the entry at `index`.
    pub(crate) fn cut_after(&mut self, index: u64) {
        let first_index = index + 1;
        let last = self.last();
        let origin = last.origin + ((first_index - last.first_index) << last.shift);
        self.0.push(Cut { origin, first_index, shift: SHIFT });
    }

    fn last(&self) -> Cut {
        self.0.last().copied().unwrap_or(UNCUT)
    }

    fn at_index(&self, index: u64) -> Cut {
        let after = self.0.partition_point(|cut| cut.first_index <= index);
        after.checked_sub(1).map_or(UNCUT, |at| self.0[at])
    }

    fn at_position(&self, position: Position) -> Cut {
        let after = self.0.partition_point(|cut| cut.origin <= position.0);
        after.checked_sub(1).map_or(UNCUT, |at| self.0[at])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn without_a_cut_positions_are_those_of_builds_before_levels() {
        let cuts = Cuts::default();
        assert_eq!(cuts.position(7, 3), Position(7 << 20 | 3));
        assert_eq!((cuts.index_max(), cuts.commands_max(7)), ((1 << 33) - 1, 1 << 20));
        assert_eq!(cuts.headroom_ppm(1 << 32), 500_000);
    }

    #[test]
    fn a_cut_leaves_room_for_decades() {
        let mut cuts = Cuts::default();
        cuts.cut_after(1 << 30);
        assert_eq!(cuts.position(1 << 30, 9), Position(1 << 50 | 9), "its own entry is not cut");
        assert_eq!(cuts.position((1 << 30) + 1, 0), Position(((1 << 30) + 1) << 20));
        assert_eq!(cuts.position((1 << 30) + 2, 0), Position((((1 << 30) + 1) << 20) + (1 << 12)));
        assert!(cuts.index_max() > 1_900_000_000_000, "{}", cuts.index_max());
        assert!(cuts.headroom_ppm(1 << 30) > 999_000);
        // At the end of all positions nothing is left to be cut.
        let mut late = Cuts::default();
        late.cut_after((1 << 33) - 1);
        assert_eq!(late.index_max(), (1 << 33) - 1);
        assert_eq!(late.headroom_ppm((1 << 33) - 1), 0);
    }

    proptest! {
        #[test]
        fn positions_ascend_with_the_log_and_lead_back(
            cut_at in prop::collection::btree_set(1_u64..40, 0..3),
            places in prop::collection::btree_set((1_u64..50, 0_u64..5_000), 1..60),
        ) {
            let mut cuts = Cuts::default();
            for index in cut_at {
                cuts.cut_after(index);
            }
            let mut before = Position(0);
            for (index, n) in places {
                if n >= cuts.commands_max(index) {
                    continue;
                }
                let position = cuts.position(index, n);
                prop_assert!(position > before, "{position} follows {before}");
                prop_assert_eq!((cuts.index_of(position), cuts.command_of(position)), (index, n));
                before = position;
            }
            prop_assert!(cuts.index_max() >= 50);
        }
    }
}
