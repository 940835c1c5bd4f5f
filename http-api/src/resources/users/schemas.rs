//! Schemas of users.

use client::wire;
use engine::user::FIELD_BYTES_MAX;
use serde_json::{Value, json};

use crate::describe::shapes::Shapes;

/// All of them.
pub(crate) fn all() -> Value {
    let email = json!({
        "minLength": 3,
        "maxLength": FIELD_BYTES_MAX,
        "pattern": r"^[^@\s\u0000-\u001f\u007f-\u009f]+@[^@\s\u0000-\u001f\u007f-\u009f]+$",
    });
    let requests = Shapes::requests()
        .of::<wire::UserRequest>()
        .plain("UserRequest.name", FIELD_BYTES_MAX)
        .with("UserRequest.email", email);
    let answers = Shapes::answers().of::<wire::User>().envelope::<wire::User>("UserAnswer");
    requests.and(answers)
}
