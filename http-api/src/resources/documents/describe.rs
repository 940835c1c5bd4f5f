//! What the OpenAPI document says about itself.

use client::wire::{self, ErrorCode};
use serde_json::json;

use super::console::{PAGE_TYPE, SCRIPT_TYPE, STYLE_TYPE};
use crate::describe::operation::Operation;
use crate::describe::words::text_content;

pub(crate) fn openapi() -> Operation {
    document(
        Operation::new("getOpenApi", "Read the document for generators of clients")
            .text("The OpenAPI 3.1 document, without rules that are no types."),
    )
}

pub(crate) fn strict() -> Operation {
    document(
        Operation::new("getStrictOpenApi", "Read the document with all rules")
            .text("The OpenAPI 3.1 document, with every rule between fields."),
    )
}

fn document(operation: Operation) -> Operation {
    let object = json!({"schema": {"type": "object"}});
    operation.answers(200, "The document.", &[], Some((wire::JSON, object)))
}

pub(crate) fn page() -> Operation {
    Operation::new("getDocs", "Read this document as a page")
        .text("The same as an HTML page that loads nothing else.")
        .answers(200, "The page.", &[], text_content(PAGE_TYPE))
}

pub(crate) fn problem() -> Operation {
    Operation::new("getProblem", "Read about a kind of error")
        .text(
            "The `type` of an error is the path of such a page. It says when the error is answered \
             and what to do.",
        )
        .takes(&["ProblemName"])
        .answers(200, "The page.", &[], text_content(PAGE_TYPE))
        .refuses(&[ErrorCode::NotFound])
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
