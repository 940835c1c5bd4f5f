//! Applications that say who may have a channel of a WebSocket, as the shops of before do.
//!
//! A browser without a token connects and learns its socket id. It asks its shop for the channel,
//! and the shop signs `socket_id:channel` with the secret that it shares with the nodes, the string
//! that Pusher documents. So an existing `/broadcasting/auth` keeps working. A signature is good
//! for one connection and one channel.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The shortest secret, in bytes.
const SECRET_BYTES_MIN: usize = 16;
/// The longest key or secret, in bytes.
const BYTES_MAX: usize = 255;

/// An application: a key that names it, and the secret that it signs with.
#[derive(Clone, PartialEq, Eq)]
pub struct SocketApp {
    key: Box<str>,
    secret: Box<str>,
}

impl SocketApp {
    /// Reads `key:secret`.
    ///
    /// # Errors
    /// What is wrong with it. It does not quote the secret.
    pub fn read(text: &str) -> Result<SocketApp, &'static str> {
        let (key, secret) = text.split_once(':').ok_or("is not KEY:SECRET")?;
        let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
        if key.is_empty() || key.len() > BYTES_MAX || !is_plain(key) {
            return Err("has no key of 1 to 255 visible ASCII characters before the colon");
        }
        if !(SECRET_BYTES_MIN..=BYTES_MAX).contains(&secret.len()) || !is_plain(secret) {
            return Err("has no secret of 16 to 255 visible ASCII characters after the colon");
        }
        Ok(SocketApp { key: key.into(), secret: secret.into() })
    }

    /// Whether this application signed the channel for the connection. `auth` is
    /// `<key>:<signature in hexadecimal digits>`.
    pub(crate) fn signed(&self, auth: &str, socket_id: &str, channel: &str) -> bool {
        let Some((key, signature)) = auth.split_once(':') else { return false };
        let Some(signature) = unhex(signature).filter(|_| key == &*self.key) else { return false };
        let mut mac = Hmac::<Sha256>::new_from_slice(self.secret.as_bytes())
            .expect("a key of any length will do for HMAC");
        mac.update(socket_id.as_bytes());
        mac.update(b":");
        mac.update(channel.as_bytes());
        // Compares in constant time.
        mac.verify_slice(&signature).is_ok()
    }
}

impl fmt::Debug for SocketApp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SocketApp({}:…)", self.key)
    }
}

/// The id of a new connection: 128 random bits as two numbers.
pub(crate) fn socket_id() -> String {
    format!("{}.{}", rand::random::<u64>(), rand::random::<u64>())
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        let digits = str::from_utf8(digits).ok()?;
        *byte = u8::from_str_radix(digits, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_pusher_is_right() {
        let app = SocketApp::read("278d425bdf160c739803:7ad3773142a6692b25b8").unwrap();
        let signature = "58df8b0c36d6982b82c3ecf6b4662e34fe8c25bba48f5369f135bf843651c3a4";
        let auth = format!("278d425bdf160c739803:{signature}");
        assert!(app.signed(&auth, "1234.1234", "private-foobar"));
        assert!(!app.signed(&auth, "1234.1235", "private-foobar"));
        assert!(!app.signed(&auth, "1234.1234", "private-foobaz"));
        for wrong in [
            "",
            signature,
            &format!("other:{signature}"),
            &format!("278d425bdf160c739803:{}", &signature[1..]),
            &format!("278d425bdf160c739803:{}", signature.replace('5', "x")),
        ] {
            assert!(!app.signed(wrong, "1234.1234", "private-foobar"), "{wrong}");
        }
        assert!(!format!("{app:?}").contains("7ad3"));
    }

    #[test]
    fn an_application_has_a_key_and_a_secret() {
        for wrong in ["", "key", "key:", "key:short", ":0123456789abcdef", "k y:0123456789abcdef"] {
            assert!(SocketApp::read(wrong).is_err(), "{wrong}");
        }
        assert!(SocketApp::read("key:0123456789abcdef").is_ok());
    }

    #[test]
    fn connections_have_ids_of_their_own() {
        let (one, other) = (socket_id(), socket_id());
        assert_ne!(one, other);
        assert!(one.split('.').all(|part| part.parse::<u64>().is_ok()), "{one}");
    }
}
