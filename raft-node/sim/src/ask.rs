//! What clients ask of nodes and what they are answered.

use engine::command::Command;
use engine::ids::{HoldId, OrderId, Position, ProductId};
use engine::query::{OrderFilter, Page};
use raft_node::replica::Applied;

/// What a client asks of a node.
#[derive(Clone, Debug)]
pub(super) enum Ask {
    Command(Command),
    Read(Look, Freshness),
}

/// What a read looks at.
#[derive(Clone, Debug)]
pub(super) enum Look {
    Order(OrderId),
    Hold(HoldId),
    Product(ProductId),
    Key(Box<str>),
    /// The report of a payment that came under a key.
    Report(Box<str>),
    /// Some movements of a product's units, from a number on.
    Ledger {
        product: ProductId,
        from: usize,
        limit: usize,
    },
    /// How many orders match, and some of them.
    List(OrderFilter, Page),
    /// All products.
    Catalogue,
}

/// How fresh a read must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Freshness {
    Linearizable,
    Stale,
    /// At least as fresh as this position, which the client knows from an earlier answer.
    AtLeast(Position),
}

/// What a client is answered.
#[derive(Clone, Debug)]
pub(super) enum Reply {
    Applied(Box<Applied>),
    /// The read shows the state after this index; what it shows has been checked.
    Read {
        index: u64,
    },
    /// Refused for lack of stock by the state after this index, without an entry.
    SoldOut {
        index: u64,
    },
    /// Certainly not applied.
    NotApplied,
    /// The outcome is not known.
    Unknown,
    /// Not fresh enough in time.
    ReadRefused,
    /// Nobody listens there.
    ConnectionRefused,
    /// The connection broke after the request was sent.
    ConnectionReset,
}
