//! A successful answer and the data in its headers.

use std::ops::Deref;

use hyper::HeaderMap;

use crate::wire;

/// Positions are below 2^53, so that every JSON reader represents them exactly.
const POSITION_LIMIT: u64 = 1 << 53;

/// The data of a successful answer, and its receipt.
///
/// It derefs to the data: `answer.status` is the status of an order, `answer.receipt.status` that
/// of HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer<T> {
    /// The requested data.
    pub data: T,
    /// How the request went.
    pub receipt: Receipt,
}

/// How a successful request went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The HTTP status.
    pub status: u16,
    /// Whether an earlier request under the key already had the effect; this answer repeats its
    /// result.
    pub replayed: bool,
    /// The position that the answer reflects, below 2^53.
    pub position: Option<u64>,
    /// The trace id, to find the request in the servers' logs.
    pub trace_id: String,
    /// The idempotency key of the call: the caller's, or one that the client made.
    pub idempotency_key: Option<String>,
    /// Attempts made, at least 1.
    pub attempts: u32,
    /// The base URL that answered.
    pub url: String,
}

impl<T> Answer<T> {
    /// The data alone.
    pub fn into_data(self) -> T {
        self.data
    }
}

impl<T> Deref for Answer<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.data
    }
}

/// The position in the headers of an answer, if there is a valid one.
pub(crate) fn position(headers: &HeaderMap) -> Option<u64> {
    let position = headers.get(wire::POSITION)?.to_str().ok()?.parse().ok()?;
    (position < POSITION_LIMIT).then_some(position)
}

/// Whether the headers say that the answer repeats an earlier one.
pub(crate) fn replayed(headers: &HeaderMap) -> bool {
    headers.get(wire::IDEMPOTENT_REPLAYED).is_some_and(|value| value == "true")
}
