//! Users: a name and an address that orders may refer to.

use serde::{Deserialize, Serialize};

/// A user, as answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// The user's id, from 1.
    pub id: u64,
    /// Their name.
    pub name: String,
    /// Their e-mail address.
    pub email: String,
    /// When the user was created.
    pub created_at: String,
    /// Position of the creation, below 2^53; also the `ETag`.
    pub version: u64,
}

/// The body of `POST /users`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserRequest {
    /// The name, 1 to 255 bytes.
    pub name: String,
    /// The e-mail address, at most 255 bytes and unlike that of any other user.
    pub email: String,
}
