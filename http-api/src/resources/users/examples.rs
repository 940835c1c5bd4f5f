//! Examples of users.

use client::wire;
use serde_json::{Value, json};

use crate::describe::examples::{MOMENT, VERSION, value};

/// The body of a user.
pub(crate) fn user_request() -> Value {
    json!({"name": "Alice", "email": "alice@example.com"})
}

/// A user.
pub(crate) fn user() -> Value {
    value(&wire::Envelope::new(wire::User {
        id: 1,
        name: "Alice".to_owned(),
        email: "alice@example.com".to_owned(),
        created_at: MOMENT.to_owned(),
        version: VERSION,
    }))
}
