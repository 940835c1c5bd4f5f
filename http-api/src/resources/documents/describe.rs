//! What the OpenAPI document says about itself.

use client::wire;
use serde_json::json;

use super::handle::PAGE_TYPE;
use crate::describe::operation::Operation;
use crate::describe::words::text_content;

pub(crate) fn openapi() -> Operation {
    Operation::new("getOpenApi", "Read this document").text("This document.").answers(
        200,
        "The document.",
        &[],
        Some((wire::JSON, json!({"schema": {"type": "object"}}))),
    )
}

pub(crate) fn page() -> Operation {
    Operation::new("getDocs", "Read this document as a page")
        .text("The same as an HTML page that loads nothing else.")
        .answers(200, "The page.", &[], text_content(PAGE_TYPE))
}
