//! The text of a token: `hft_<id>_<secret>_<checksum>`.
//!
//! The secret is 256 random bits. The checksum tells a mistyped or shortened token from a wrong
//! one, and lets scanners recognise a leaked one. It proves nothing.

use std::fmt;

use engine::ids::TokenId;
use sha2::{Digest, Sha256};

use super::base64url;

/// What a token begins with.
pub(super) const PREFIX: &str = "hft_";

/// A token as its owner knows it.
pub(super) struct Secret {
    pub(super) id: TokenId,
    bytes: [u8; 32],
}

/// The random part of a token that has no id yet.
pub(crate) struct Unnamed([u8; 32]);

impl Unnamed {
    /// Draws one.
    pub(crate) fn draw() -> Unnamed {
        Unnamed(rand::random())
    }

    /// What the log may see of it.
    pub(crate) fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.0).into()
    }

    /// The token, once its id is known.
    pub(crate) fn named(self, id: TokenId) -> String {
        Secret { id, bytes: self.0 }.to_string()
    }
}

impl Secret {
    /// Reads a token.
    pub(super) fn read(text: &str) -> Option<Secret> {
        let (id, rest) = text.strip_prefix(PREFIX)?.split_once('_')?;
        // The secret may contain an underscore, so the checksum is what comes last.
        let (secret, checksum) = rest.rsplit_once('_')?;
        let is_plain = !id.starts_with('0') && id.bytes().all(|byte| byte.is_ascii_digit());
        let id = TokenId(id.parse().ok().filter(|_| is_plain)?);
        let bytes = base64url::decode(secret)?.try_into().ok()?;
        (checksum == checksum_of(id, secret)).then_some(Secret { id, bytes })
    }

    /// What the log has of it.
    pub(super) fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.bytes).into()
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (id, secret) = (self.id, base64url::encode(&self.bytes));
        write!(f, "{PREFIX}{id}_{secret}_{}", checksum_of(id, &secret))
    }
}

fn checksum_of(id: TokenId, secret: &str) -> String {
    format!("{:08x}", crc32fast::hash(format!("{PREFIX}{id}_{secret}").as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_comes_back_and_a_mistyped_one_does_not() {
        let drawn = Unnamed([0xff; 32]);
        let hash = drawn.hash();
        let text = drawn.named(TokenId(17));
        assert_eq!(text.len(), "hft_17_".len() + 43 + "_".len() + 8);
        let read = Secret::read(&text).expect("as it was written");
        assert_eq!((read.id, read.hash()), (TokenId(17), hash));
        for at in 0..text.len() {
            let mut mistyped = text.clone().into_bytes();
            mistyped[at] = if mistyped[at] == b'x' { b'y' } else { b'x' };
            let mistyped = String::from_utf8(mistyped).unwrap();
            assert!(Secret::read(&mistyped).is_none(), "{mistyped}");
            assert!(Secret::read(&text[..at]).is_none(), "{at}");
        }
        for wrong in ["", "hft_", "hft_1__", "hft_01_a_b", "hft__a_b"] {
            assert!(Secret::read(wrong).is_none(), "{wrong}");
        }
        assert_ne!(Unnamed::draw().0, Unnamed::draw().0);
    }
}
