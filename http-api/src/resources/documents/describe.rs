//! What the OpenAPI document says about itself.

use client::wire::{self, ErrorCode};
use serde_json::json;

use super::console::{PAGE_TYPE, SCRIPT_TYPE, STYLE_TYPE};
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

/// A file of the console: whole, or as the browser has it.
fn file(operation: Operation, kind: &'static str) -> Operation {
    let headers = &["ETag.file", "Cache-Control.file"];
    operation
        .takes(&["IfNoneMatch"])
        .answers(200, "The file.", headers, text_content(kind))
        .answers(304, "The file has the tag that was sent.", headers, None)
}

pub(crate) fn console() -> Operation {
    let operation = Operation::new("getConsole", "Open the console").text(
        "A page for operators: nodes, products, orders, holds, events and payments of the cluster, \
         with the actions on them.",
    );
    file(operation, PAGE_TYPE)
}

pub(crate) fn console_style() -> Operation {
    let operation = Operation::new("getConsoleStyle", "Read the styles of the console");
    file(operation.text("The page loads them."), STYLE_TYPE)
}

pub(crate) fn console_script() -> Operation {
    let operation = Operation::new("getConsoleScript", "Read a script of the console");
    file(operation.text("The page loads them.").takes(&["ConsoleFile"]), SCRIPT_TYPE)
        .refuses(&[ErrorCode::NotFound])
}
