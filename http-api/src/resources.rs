//! The resources of the API, one folder each: its endpoints, their handlers, and what the OpenAPI
//! document says of them.

pub(crate) mod auth;
pub(crate) mod cluster;
pub(crate) mod documents;
pub(crate) mod events;
pub(crate) mod holds;
pub(crate) mod monitoring;
pub(crate) mod orders;
pub(crate) mod payments;
pub(crate) mod products;
pub(crate) mod refunds;
pub(crate) mod users;
