//! Events on their way out: read once per node, told to every subscriber that wants them.
//!
//! A subscriber is a place in the sequence of events and a filter. It is woken when there is
//! something new and takes pages at its own pace; nothing is queued for it. A subscriber that does
//! not read is a connection that does not take its bytes, and ends like any other of those.

mod feed;
mod filter;
mod render;
pub(crate) mod socket;
pub(crate) mod stream;

pub(crate) use feed::{Feed, Subscription};
pub(crate) use filter::Filter;
