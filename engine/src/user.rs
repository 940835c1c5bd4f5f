//! Users: a name and an address to check orders against, no accounts.

use bincode::{Decode, Encode};

use crate::ids::{Position, Timestamp, UserId};

/// The longest name or e-mail address, in bytes.
pub const FIELD_BYTES_MAX: usize = 255;

/// A user, as stored.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub struct User {
    /// Their id, dense from 1.
    pub id: UserId,
    /// Their name.
    pub name: Box<str>,
    /// Their e-mail address.
    pub email: Box<str>,
    /// When the row was made.
    pub created_at: Timestamp,
    /// The command that made it.
    pub version: Position,
}
