//! What the nodes of a cluster know and strangers do not.

use std::fmt;

use bincode::{Decode, Encode};

/// Random bytes that all nodes of a cluster share. Backups hold them, so they keep strangers out,
/// not operators.
#[derive(Clone, Copy, Default, PartialEq, Eq, Encode, Decode)]
pub struct Secret(pub [u8; 32]);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}
