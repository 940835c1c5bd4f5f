//! The documents about the API itself. [`crate::call::Documents`] has their texts.

mod describe;
mod handle;

use serde_json::Value;

use crate::endpoint::{Endpoint, Resource, endpoints};

pub(crate) static RESOURCE: Resource =
    Resource { name: "Documents", about: "This document.", schemas: Value::default };

endpoints! {
    OpenApi: Endpoint::get("/openapi.json", describe::openapi).own_format() => handle::openapi,
    Page: Endpoint::get("/docs", describe::page).own_format() => handle::page,
}
