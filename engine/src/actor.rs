//! Who asks for a command.

use bincode::{Decode, Encode};

use crate::ids::{NodeId, TokenId, UserId};

/// Who asks for a command, as the node that took the request established it. Envelopes of the
/// first layout have none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Encode, Decode)]
pub enum Actor {
    /// Nobody said who asks.
    #[default]
    Nobody,
    /// A node by itself, for example the payment worker.
    System,
    /// An operator with the root token of this node.
    Root(NodeId),
    /// The owner of an API token.
    Token(TokenId),
    /// A customer, by a token of their own.
    Customer {
        /// Who it is.
        user: UserId,
    },
}
