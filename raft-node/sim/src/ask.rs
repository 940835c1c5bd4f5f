//! Requests of clients to nodes, and their answers.

use engine::command::Command;
use engine::ids::{HoldId, OrderId, Position, ProductId};
use engine::query::{OrderFilter, Page};
use raft_node::replica::Applied;

/// A client's request to a node.
#[derive(Clone, Debug)]
pub(super) enum Ask {
    Command(Command),
    Read(Look, Freshness),
}

/// What a read wants to see.
#[derive(Clone, Debug)]
pub(super) enum Look {
    Order(OrderId),
    Hold(HoldId),
    Product(ProductId),
    Key(Box<str>),
    /// The report of a payment under a key.
    Report(Box<str>),
    /// Some movements of a product's units, from this number on.
    Ledger {
        product: ProductId,
        from: usize,
        limit: usize,
    },
    /// The number of matching orders, and some of them.
    List(OrderFilter, Page),
    /// All products.
    Catalogue,
}

/// How fresh a read must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Freshness {
    Linearizable,
    Stale,
    /// At least as fresh as this position, which the client has from an earlier answer.
    AtLeast(Position),
}

/// A node's answer to a client.
#[derive(Clone, Debug)]
pub(super) enum Reply {
    Applied(Box<Applied>),
    /// The read saw the state after this index. Its content has been checked.
    Read {
        index: u64,
    },
    /// Refused without an entry, for lack of stock in the state after this index.
    SoldOut {
        index: u64,
    },
    /// Certainly not applied.
    NotApplied,
    /// The outcome is unknown.
    Unknown,
    /// Not fresh enough in time.
    ReadRefused,
    /// No process listens there.
    ConnectionRefused,
    /// The connection broke after the request was sent.
    ConnectionReset,
}
