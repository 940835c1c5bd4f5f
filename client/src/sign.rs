//! Signing of payment webhooks, for providers and for tests of receivers.

use std::fmt::Write;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The value of the header [`crate::wire::SIGNATURE`] for a body that is sent at `timestamp`, in
/// seconds since 1970, with a `v1` for each of `secrets`; `None` without a secret.
///
/// ```
/// let value = client::signature(&["an old secret", "a new secret"], 1_700_000_000, b"{}");
/// let value = value.unwrap();
/// assert!(value.starts_with("t=1700000000,v1="));
/// assert_eq!(value.matches(",v1=").count(), 2);
/// ```
#[must_use]
pub fn signature(secrets: &[&str], timestamp: u64, body: &[u8]) -> Option<String> {
    let mut value = format!("t={timestamp}");
    for secret in secrets {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes())
            .expect("HMAC accepts keys of any length");
        mac.update(format!("{timestamp}.").as_bytes());
        mac.update(body);
        value.push_str(",v1=");
        for byte in mac.finalize().into_bytes() {
            write!(value, "{byte:02x}").expect("a string takes any text");
        }
    }
    (!secrets.is_empty()).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_the_hmac_of_time_dot_and_body() {
        // echo -n '1700000000.{"a":1}' | openssl dgst -sha256 -hmac 'correct horse battery'
        let expected = concat!(
            "t=1700000000,v1=",
            "98a51b330afc58453095af8ed727e6cc4bd565edb4230482620146eda751b416"
        );
        let value = signature(&["correct horse battery"], 1_700_000_000, br#"{"a":1}"#);
        assert_eq!(value.as_deref(), Some(expected));
        assert_eq!(signature(&[], 1_700_000_000, b"{}"), None);
    }
}
