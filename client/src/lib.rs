//! Typed client of the Holdfast REST API, and the JSON types of its wire format.
//!
//! [`wire`] contains every JSON body, header name and error code. It does no I/O, and the server
//! shares it, so that both ends change together. Without the default feature `http` it is all of
//! this crate.
//!
//! The crate knows no domain types: the wire format is a promise to others, the engine's types are
//! not. It has no blocking interface and needs a tokio runtime. The feature `tls` brings HTTPS.
#![cfg_attr(feature = "http", doc = include_str!("guide.md"))]

pub mod wire;

#[cfg(feature = "http")]
mod answer;
#[cfg(feature = "http")]
mod attempt;
#[cfg(feature = "http")]
mod backup;
#[cfg(feature = "http")]
mod builder;
#[cfg(feature = "http")]
mod call;
#[cfg(feature = "http")]
mod client;
#[cfg(feature = "http")]
mod decode;
#[cfg(feature = "http")]
mod endpoints;
#[cfg(feature = "http")]
mod error;
#[cfg(feature = "http")]
mod events;
#[cfg(feature = "http")]
mod query;
#[cfg(feature = "http")]
mod retry;
#[cfg(feature = "http")]
mod scope;
#[cfg(feature = "tls")]
pub mod secure;
#[cfg(feature = "http")]
mod sign;
#[cfg(feature = "http")]
mod transport;

#[cfg(feature = "http")]
pub use {
    answer::{Answer, Receipt},
    attempt::Cause,
    backup::Backup,
    builder::{BuildError, Builder},
    client::Client,
    error::{Error, Invalid, Report},
    events::EventStream,
    query::{EventQuery, HoldQuery, LedgerQuery, OrderQuery, Paging, ProductQuery},
    scope::Consistency,
    sign::signature,
};
