//! The server over real sockets, with a real node of one behind it.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod contract;
mod harness;

mod auth;
mod bad_input;
mod batches;
mod documents;
mod events;
mod fuzz;
mod holds;
mod keys;
mod limits;
mod monitors;
mod orders;
mod origins;
mod products;
mod protocol;
mod queries;
mod races;
mod rate;
mod sales;
mod sockets;
mod stock;
mod tasks;
mod users;
mod webhooks;
