//! The shapes of users.

use engine::user::FIELD_BYTES_MAX;
use serde_json::{Value, json};

use crate::describe::words::{described, object, plain, schema, success, text};

/// All of them.
pub(crate) fn all() -> Value {
    let envelope = |of: &str| object("", &[], json!({"success": success(), "data": schema(of)}));
    json!({
        "UserRequest": {
            "type": "object",
            "required": ["name", "email"],
            "properties": {
                "name": plain(FIELD_BYTES_MAX, ""),
                "email": {
                    "type": "string",
                    "minLength": 3,
                    "maxLength": FIELD_BYTES_MAX,
                    "pattern": r"^[^@\s\u0000-\u001f\u007f-\u009f]+@[^@\s\u0000-\u001f\u007f-\u009f]+$",
                    "description": format!(
                        "Unlike that of any other user; at most {FIELD_BYTES_MAX} bytes of UTF-8."
                    ),
                },
            },
        },
        "User": object("A user.", &[], json!({
            "id": schema("Id"),
            "name": text("Their name."),
            "email": text("Their e-mail address."),
            "created_at": schema("Moment"),
            "version": described("Position", "The creation; also the `ETag`."),
        })),
        "UserAnswer": envelope("User"),
    })
}
