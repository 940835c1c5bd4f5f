//! Sends events to subscribers. A node reads each event once for all of them.
//!
//! A subscriber is a place in the sequence of events and a filter. New events wake it, and it takes
//! pages at its own pace; nothing is queued for it. A subscriber that does not read blocks its
//! connection, and the write timeout closes it like any other.

pub(crate) mod app;
mod feed;
mod filter;
mod render;
pub(crate) mod socket;
pub(crate) mod stream;

pub(crate) use feed::{Feed, Subscription};
pub(crate) use filter::Filter;
