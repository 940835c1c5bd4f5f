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

/// A place in the log: `index × 2^20 + n`, where n is the command's place in its entry.
///
/// One integer below 2^53 serves as row version, `ETag`, ledger place, event id and consistency
/// token. Position 0 is before everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct Position(pub u64);

impl Position {
    /// How many commands one entry may contain.
    pub const COMMANDS_PER_ENTRY_MAX: u64 = 1 << 20;

    /// The highest log index that has positions. They stay below 2^53, which every JSON number can
    /// represent exactly.
    pub const INDEX_MAX: u64 = (1 << 33) - 1;

    /// The position of command `n` of the entry at `index`.
    ///
    /// # Panics
    /// When `n` is not below [`Position::COMMANDS_PER_ENTRY_MAX`]. The entry's decoder refuses such
    /// entries.
    pub fn new(index: u64, n: u64) -> Position {
        assert!(n < Position::COMMANDS_PER_ENTRY_MAX, "entry contains too many commands");
        Position((index << 20) | n)
    }

    /// The raft log index.
    pub fn index(self) -> u64 {
        self.0 >> 20
    }

    /// The command's number in its entry.
    pub fn command(self) -> u64 {
        self.0 & (Position::COMMANDS_PER_ENTRY_MAX - 1)
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
