//! Users: a name and an address to check orders against; no accounts.

use bincode::{Decode, Encode};

use crate::ids::{Position, Timestamp, UserId};

/// The longest name or e-mail address, in bytes.
pub const FIELD_BYTES_MAX: usize = 255;

/// A stored user.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub struct User {
    /// The id, dense from 1.
    pub id: UserId,
    /// The name.
    pub name: Box<str>,
    /// The e-mail address.
    pub email: Box<str>,
    /// When the row was created.
    pub created_at: Timestamp,
    /// The command that created it.
    pub version: Position,
}
