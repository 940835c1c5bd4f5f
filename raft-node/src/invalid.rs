//! Why a configuration is invalid.

/// Why a configuration is invalid.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{setting}: {reason}")]
pub struct Invalid {
    /// The setting.
    pub setting: &'static str,
    /// What is wrong with it.
    pub reason: String,
}
