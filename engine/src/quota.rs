//! Rows that many callers may make, cost memory for ever and bring no sale: their share of a node's
//! memory, so that a flood of them leaves room for orders.
//!
//! Bytes are estimates from the sizes of rows and indexes. They decide nothing in apply: each node
//! compares them with its own memory before it proposes.

use crate::command::{Command, KeyedCommand};
use crate::state::State;

/// A kind of rows with a share of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Users: an eighth.
    Users,
    /// Products: an eighth.
    Products,
    /// Keys that were fenced without an order: a sixteenth.
    FencedKeys,
}

/// A product with its index entries, its ledger's newest rows and its place in a block.
const PRODUCT_BYTES: u64 = 1_024;
/// A fenced key in the index of keys, at its usual load.
const FENCE_BYTES: u64 = 40;

impl Kind {
    /// The kind of the rows that a command adds.
    pub fn of(command: &Command) -> Option<Kind> {
        match command {
            Command::CreateUser(_) => Some(Kind::Users),
            Command::CreateProduct(_) => Some(Kind::Products),
            Command::FenceKey(_) => Some(Kind::FencedKeys),
            Command::Keyed(keyed) => match keyed.command {
                KeyedCommand::CreateUser(_) => Some(Kind::Users),
                KeyedCommand::CreateProduct(_) => Some(Kind::Products),
                _ => None,
            },
            _ => None,
        }
    }

    /// Its share of these bytes.
    pub fn share(self, bytes: u64) -> u64 {
        match self {
            Kind::Users | Kind::Products => bytes / 8,
            Kind::FencedKeys => bytes / 16,
        }
    }

    /// What its rows are called.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Users => "users",
            Kind::Products => "products",
            Kind::FencedKeys => "fenced keys",
        }
    }
}

impl State {
    /// The memory that the rows of a kind take, in bytes.
    pub fn bytes_of(&self, kind: Kind) -> u64 {
        match kind {
            Kind::Users => self.users.bytes(),
            Kind::Products => self.products.len() as u64 * PRODUCT_BYTES,
            Kind::FencedKeys => self.fences.len() * FENCE_BYTES,
        }
    }
}
