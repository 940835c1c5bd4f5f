//! How fresh a read must be.

/// How fresh a read must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// The read sees every write that was acknowledged before it began.
    Linearizable,
    /// The read sees what this node has applied.
    Stale,
}
