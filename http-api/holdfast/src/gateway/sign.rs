//! The signature of a request to a payment service.
//!
//! It covers the whole request: moment, method, path, key and body, joined by dots. A signature
//! of the body alone could be moved to another key or method.

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// What is signed besides the moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Signed<'a> {
    pub(super) method: &'a str,
    /// The path as it is sent.
    pub(super) path: &'a str,
    pub(super) key: &'a str,
    pub(super) body: &'a [u8],
}

/// The value of the header `Holdfast-Signature`: `t=` with the moment in seconds since 1970, and a
/// `v1=` for each secret.
pub(super) fn signature(secrets: &[String], moment_s: u64, signed: Signed<'_>) -> String {
    let mut value = format!("t={moment_s}");
    for secret in secrets {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes())
            .expect("HMAC accepts keys of any length");
        let Signed { method, path, key, body } = signed;
        mac.update(format!("{moment_s}.{method}.{path}.{key}.").as_bytes());
        mac.update(body);
        value.push_str(",v1=");
        for byte in mac.finalize().into_bytes() {
            let _ = write!(value, "{byte:02x}");
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_covers_method_path_key_and_body() {
        let secrets = ["correct horse battery".to_owned()];
        let good = Signed { method: "PUT", path: "/v1/payments/k-1", key: "k-1", body: b"{}" };
        // printf '1700000000.PUT./v1/payments/k-1.k-1.{}' |
        //     openssl dgst -sha256 -hmac 'correct horse battery'
        let expected = "3f135cbda05b9c2c917b02034fc874bcf66389a76af1dbc274b0ff96b6804b92";
        let value = signature(&secrets, 1_700_000_000, good);
        assert_eq!(value, format!("t=1700000000,v1={expected}"));
        for other in [
            Signed { method: "GET", ..good },
            Signed { path: "/v1/refunds/k-1", ..good },
            Signed { key: "k-2", ..good },
            Signed { body: b"{ }", ..good },
        ] {
            assert_ne!(signature(&secrets, 1_700_000_000, other), value, "{other:?}");
        }
        let both = [secrets[0].clone(), "another secret".to_owned()];
        assert_eq!(signature(&both, 1, good).matches(",v1=").count(), 2);
    }
}
