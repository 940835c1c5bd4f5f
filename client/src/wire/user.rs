//! Users: a name and an address that orders may refer to.

use serde::{Deserialize, Serialize};

/// A user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct User {
    /// The user's id, from 1.
    pub id: u64,
    /// Their name.
    pub name: String,
    /// Their e-mail address.
    pub email: String,
    /// When the user was created.
    pub created_at: String,
    /// Position of the creation, also the `ETag`.
    pub version: u64,
}

/// The body of `POST /users`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct UserRequest {
    /// The name.
    pub name: String,
    /// The e-mail address, unlike that of any other user; at most 255 bytes of UTF-8.
    pub email: String,
}
