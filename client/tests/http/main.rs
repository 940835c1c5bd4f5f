//! The client against a server that follows a script.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod bulk;
mod calls;
mod cluster;
mod events;
mod garbage;
mod holds;
mod support;
