//! Why a configuration is refused.

/// Why a configuration is refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{setting}: {reason}")]
pub struct Invalid {
    /// The setting.
    pub setting: &'static str,
    /// What is wrong with it.
    pub reason: String,
}
