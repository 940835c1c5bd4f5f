//! What the OpenAPI document says, but for what belongs to one resource.

pub(crate) mod examples;
pub(crate) mod operation;
pub(crate) mod parameters;
pub(crate) mod problems;
pub(crate) mod schemas;
pub(crate) mod shapes;
pub(crate) mod words;
