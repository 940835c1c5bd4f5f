//! How far the file that is being received has come.

/// The file that is being received.
pub(super) struct Incoming {
    /// Its name.
    pub(super) name: String,
    /// Bytes that this process wrote or read back.
    pub(super) bytes: u64,
}
