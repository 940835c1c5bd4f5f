//! The console, and the documents about the API itself. [`crate::call::Documents`] has the texts
//! of the latter.

mod console;
mod describe;
mod handle;

use serde_json::Value;

use crate::endpoint::{Endpoint, Resource, endpoints};

pub(crate) static RESOURCE: Resource = Resource {
    name: "Documents",
    about: "This document, and the console.",
    schemas: Value::default,
};

endpoints! {
    OpenApi: Endpoint::get("/openapi.json", describe::openapi).own_format()
        .open() => handle::openapi,
    StrictOpenApi: Endpoint::get("/openapi-strict.json", describe::strict).own_format()
        .open() => handle::strict,
    Console: Endpoint::get("/", describe::console).own_format().uncounted().open() => console::page,
    ConsoleStyle: Endpoint::get("/console/app.css", describe::console_style)
        .own_format()
        .uncounted()
        .open()
        => console::style,
    ConsoleScript: Endpoint::get("/console/{file}", describe::console_script)
        .own_format()
        .uncounted()
        .open()
        => console::script,
    Page: Endpoint::get("/docs", describe::page).own_format().open() => handle::page,
    Problem: Endpoint::get("/problems/{problem}", describe::problem).own_format()
        .open() => handle::problem,
}
