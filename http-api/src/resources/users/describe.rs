//! What the OpenAPI document says about users.

use client::wire::ErrorCode;

use super::examples;
use crate::describe::operation::Operation;

pub(crate) fn create() -> Operation {
    Operation::new("createUser", "Create a user")
        .text("A name and an email address that orders may refer to. Users never change.")
        .body("UserRequest", examples::user_request())
        .makes("The user was created.", "UserAnswer", examples::user())
        .writes()
        .refuses(&[ErrorCode::ValidationError])
}

pub(crate) fn get() -> Operation {
    Operation::new("getUser", "Read a user")
        .text("The user.")
        .takes(&["UserId"])
        .reads()
        .shows("The user.", "UserAnswer", examples::user())
        .refuses(&[ErrorCode::NotFound])
}
