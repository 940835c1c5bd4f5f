//! The REST server of Holdfast, over the [`raft_node::Handle`] of one node.
//!
//! [`Server`] listens; [`Settings`] bounds it. Inside, a request goes from `server` (connections
//! and their limits) to `service` (what holds for every request), is routed by `routes`, read by
//! `extract`, `json`, `validate` and `query`, and answered by one of `handlers`, with `views`
//! and `rows` writing rows and `error` writing refusals. `events` tells subscribers what happens.
//! `openapi` describes all of it, and `docs` shows that. The JSON types are those of
//! `client::wire`.
//!
//! Log lines: this library writes one at INFO for each change of a product (`product.created`,
//! `.updated`, `.archived`, `stock.adjusted`), each fenced key (`key.fenced`), each call of the
//! task hook (`order.processed`) and each result of a payment that was taken down
//! (`payment.webhook`), on the node that took the request. The story of an order (`order.placed`
//! and each later step) and of a hold (`hold.created` and so on) is told by the replication layer,
//! once, on the leader. At DEBUG there is a line for each answer, and `order.created` and
//! `order.cancelled` on the node that answered that to a client.
//!
//! This library never sees raft or the store, keeps no state of its own between two requests but
//! its metrics, and decides nothing that depends on the replicated state: that is the engine's.

mod answer;
mod bounds;
mod call;
mod describe;
mod docs;
mod endpoint;
mod events;
mod failure;
mod freshness;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod limit;
mod metrics;
mod openapi;
mod request;
mod resources;
mod routes;
mod server;
mod service;
mod settings;
mod watch;

pub use server::Server;
pub use settings::{Invalid, Settings, WebhookSecret};
