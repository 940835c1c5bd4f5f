//! The parts of the OpenAPI document that resources share.

pub(crate) mod examples;
pub(crate) mod operation;
pub(crate) mod parameters;
pub(crate) mod problems;
pub(crate) mod schemas;
pub(crate) mod shapes;
pub(crate) mod words;
