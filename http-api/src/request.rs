//! Reads a request: headers, query, body, fields, signature.

pub(crate) mod extract;
pub(crate) mod fields;
pub(crate) mod json;
pub(crate) mod keyed;
pub(crate) mod query;
pub(crate) mod signature;
pub(crate) mod trace;
