//! The REST server of Holdfast, over the [`raft_node::Handle`] of one node.
//!
//! [`Server`] listens; [`Settings`] has its bounds. `server` accepts connections and passes each
//! request to `service`, which checks what holds for all requests. `origin` refuses foreign web
//! pages. `routes` finds the endpoint, and
//! its handler in `resources` reads the request with `request` and answers with `answer`. `events`
//! sends events to subscribers. `openapi` describes all endpoints, and `docs` shows that as a page.
//! The JSON types are those of `client::wire`.
//!
//! Log lines at INFO, on the node that took the request: changes of products (`product.created`,
//! `.updated`, `.archived`, `stock.adjusted`), fenced keys (`key.fenced`), calls of the task hook
//! (`order.processed`) and recorded payment results (`payment.webhook`). The replication layer logs
//! the steps of orders (`order.placed` and so on) and holds (`hold.created` and so on), once, on
//! the leader. At DEBUG there is a line for each answer, and `order.created` and `order.cancelled`
//! on the node that answered the client.
//!
//! This library never sees raft or the store. Between requests it keeps only metrics and rate
//! limits. Decisions that depend on the replicated state belong to the engine.

mod answer;
mod auth;
mod bodies;
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
mod log_filter;
mod metrics;
mod openapi;
mod origin;
mod parse;
mod process;
mod proxy;
mod request;
mod resources;
mod routes;
mod server;
mod service;
mod settings;
mod tls;
mod watch;

pub use auth::RootToken;
pub use auth::jwt::CustomerKeys;
pub use events::app::SocketApp;
pub use log_filter::LogFilter;
pub use origin::{CorsOrigin, HostName};
pub use proxy::{Network, Proxies, ProxyHeader};
pub use server::Server;
pub use settings::{Gateway, Invalid, Settings, WebhookSecret};
pub use tls::HttpTls;
