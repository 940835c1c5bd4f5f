//! Simulated time.

/// Simulated microseconds since the run began.
pub type Time = u64;

/// A simulated millisecond.
pub(crate) const MS: Time = 1_000;
/// A simulated second.
pub(crate) const SECOND: Time = 1_000 * MS;
