//! Identifiers and positions. Each number has its own type, so that nobody can mistake an index for
//! an id or a count.

use std::fmt;

use bincode::{Decode, Encode};

use crate::few::Few;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode,
        )]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl From<$name> for u64 {
            fn from(id: $name) -> u64 {
                id.0
            }
        }
    };
}

id! {
    /// An order's id: dense, from 1, assigned by apply in log order.
    OrderId
}
id! {
    /// A product's id: dense, from 1, assigned by apply in log order.
    ProductId
}
/// The products that an order names, each once. Nearly all orders name one.
pub type ProductIds = Few<[ProductId; 2]>;

id! {
    /// A user's id. Orders may name users that have no row.
    UserId
}
id! {
    /// A hold's id: dense, from 1, assigned by apply in log order.
    HoldId
}
id! {
    /// The id of a payment result that a provider reported: dense, from 1, in log order.
    WebhookId
}
id! {
    /// An adjustment's id: dense, from 1, assigned by apply in log order.
    AdjustmentId
}
id! {
    /// A stock location. All stock is at [`LocationId::DEFAULT`] today. The id is part of every
    /// stock key, so more locations will need no migration.
    LocationId
}
id! {
    /// A node of the cluster, from 1.
    NodeId
}

id! {
    /// A refund's id: dense, from 1, assigned by apply in log order.
    RefundId
}
id! {
    /// A token's id: from 1, assigned by apply in log order, never used again.
    TokenId
}

impl LocationId {
    /// The only location today.
    pub const DEFAULT: LocationId = LocationId(0);
}

/// A number of units, from 1 to [`Quantity::MAX`] in a request line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct Quantity(pub u32);

impl Quantity {
    /// The most units that one line may request.
    pub const MAX: Quantity = Quantity(1_000_000);
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A place in the log: the index of the entry, then the command's place in it.
///
/// An index below [`Position::CUT_INDEX`] has 2^20 positions, though an entry never holds that many
/// commands; such a log would be full after 2^33 entries. Indexes from there on have 2^12 positions
/// each, so positions go on ascending with the log and last for 2^40 more entries (decision 23).
///
/// One integer below 2^53 serves as row version, `ETag`, ledger place, event id and consistency
/// token. Position 0 is before everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct Position(pub u64);

/// Bits of a command's place in its entry: before the cut, and after it.
const PLACE_BITS: u32 = 12;
const PLACE_BITS_BEFORE_CUT: u32 = 20;
/// Every JSON number can represent integers of this many bits exactly.
const POSITION_BITS: u32 = 53;

impl Position {
    /// How many commands a new entry may contain.
    pub const COMMANDS_PER_ENTRY_MAX: u64 = 1 << PLACE_BITS;

    /// The first index after the cut. No log was that long when the cut was introduced.
    pub const CUT_INDEX: u64 = 1 << 32;

    /// The first position after the cut.
    const CUT: u64 = Position::CUT_INDEX << PLACE_BITS_BEFORE_CUT;

    /// The highest log index that has positions.
    pub const INDEX_MAX: u64 =
        Position::CUT_INDEX + (((1 << POSITION_BITS) - Position::CUT) >> PLACE_BITS) - 1;

    /// How many commands the entry at an index may contain. Entries of earlier builds may have more
    /// than [`Position::COMMANDS_PER_ENTRY_MAX`].
    pub fn commands_max(index: u64) -> u64 {
        match index < Position::CUT_INDEX {
            true => 1 << PLACE_BITS_BEFORE_CUT,
            false => Position::COMMANDS_PER_ENTRY_MAX,
        }
    }

    /// The position of command `n` of the entry at `index`.
    ///
    /// # Panics
    /// When `n` is not below [`Position::commands_max`]. Apply leaves such entries out.
    pub fn new(index: u64, n: u64) -> Position {
        assert!(n < Position::commands_max(index), "entry contains too many commands");
        match index.checked_sub(Position::CUT_INDEX) {
            None => Position(index << PLACE_BITS_BEFORE_CUT | n),
            Some(after) => Position(Position::CUT + (after << PLACE_BITS | n)),
        }
    }

    /// The raft log index.
    pub fn index(self) -> u64 {
        match self.0.checked_sub(Position::CUT) {
            None => self.0 >> PLACE_BITS_BEFORE_CUT,
            Some(after) => Position::CUT_INDEX + (after >> PLACE_BITS),
        }
    }

    /// The command's number in its entry.
    pub fn command(self) -> u64 {
        // The cut is a multiple of both.
        self.0 & (Position::commands_max(self.index()) - 1)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Milliseconds since the Unix epoch on the replicated clock, which never runs backwards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// This moment plus `ms` milliseconds; saturates instead of wrapping.
    pub fn plus_ms(self, ms: u64) -> Timestamp {
        Timestamp(self.0.saturating_add(ms))
    }
}

/// Names one request of one boot of one node, so that a command that reaches the log twice is
/// applied once.
///
/// `boot` grows with every start of the node, `seq` with every request after it. The state machine
/// remembers which sequence numbers of a node's newest boot it has applied (`sessions`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct RequestId {
    /// The node that received the request.
    pub node: NodeId,
    /// That node's boot number, from 1.
    pub boot: u64,
    /// The request's number within the boot, from 1.
    pub seq: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_ascend_with_the_log_and_lead_back() {
        let cut = Position::CUT_INDEX;
        let last = Position::INDEX_MAX;
        let mut before = None;
        for index in [0, 1, 7, cut - 2, cut - 1, cut, cut + 1, 1 << 33, 1 << 40, last - 1, last] {
            let max = Position::commands_max(index) - 1;
            for n in [0, 1, 4_095, max] {
                let position = Position::new(index, n);
                assert_eq!((position.index(), position.command()), (index, n));
                assert!(before <= Some(position), "{position} comes after {before:?}");
                before = Some(position);
            }
        }
        assert_eq!(before, Some(Position((1 << 53) - 1)), "JSON numbers represent all of them");
        assert_eq!(Position::new(7, 3), Position(7 << 20 | 3), "as before there was a cut");
        assert_eq!(Position::INDEX_MAX, 1_103_806_595_071);
    }

    #[test]
    #[should_panic(expected = "entry contains too many commands")]
    fn no_entry_after_the_cut_has_more_than_4096_commands() {
        Position::new(Position::CUT_INDEX, 4_096);
    }
}
