//! Checks that the sender of a payment webhook knows a secret, and that the request is recent.
//!
//! The header has the form that is common among payment providers: `t=` with the time of signing in
//! seconds since 1970, then one `v1=` for each secret of the sender, separated by commas. Each is
//! the HMAC-SHA256, in hexadecimal digits, of that time, a dot and the body as it was sent. During
//! a rotation both sides may have two secrets; one match is enough.
//!
//! It does not detect replays within the window: each result has a key, and a key counts once.

use std::time::{SystemTime, UNIX_EPOCH};

use client::wire::{self, ErrorCode};
use hmac::{Hmac, KeyInit, Mac};
use hyper::HeaderMap;
use hyper::header::HeaderName;
use sha2::Sha256;

use crate::failure::Failure;
use crate::settings::{Settings, WebhookSecret};

const SIGNATURE: HeaderName = HeaderName::from_static(wire::SIGNATURE);

/// The largest distance of the time of signing from this node's clock, before or after, in seconds.
pub(crate) const WINDOW_S: u64 = 300;

/// The most signatures in one request.
pub(crate) const SIGNATURES_MAX: usize = 8;

/// Checks the signature of a request against this node's clock. Without secrets every request is
/// refused, unless the settings allow unsigned ones and nobody asks for credentials.
pub(crate) fn check(
    settings: &Settings,
    headers: &HeaderMap,
    body: &[u8],
    is_open: bool,
) -> Result<(), Failure> {
    if settings.webhook_secrets.is_empty() {
        return match settings.webhook_unsigned && is_open {
            true => Ok(()),
            false => Err(refused(
                "This node has no webhook secret, so it cannot tell who sent this payment result. \
                 Start it with --webhook-secret-file.",
            )),
        };
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    check_at(&settings.webhook_secrets, headers, body, now.as_secs())
}

fn check_at(
    secrets: &[WebhookSecret],
    headers: &HeaderMap,
    body: &[u8],
    now_s: u64,
) -> Result<(), Failure> {
    let mut values = headers.get_all(SIGNATURE).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(refused("The Holdfast-Signature header must be given once."));
    };
    let header = value.to_str().ok().and_then(Header::read);
    let header = header.ok_or_else(|| refused("The signature is not of the form t=…,v1=…."))?;
    // The signature comes first: without a secret, a sender learns nothing about the clock.
    let genuine = secrets.iter().fold(false, |genuine, secret| {
        header.signatures.iter().fold(genuine, |genuine, signature| {
            let mut mac = Hmac::<Sha256>::new_from_slice(secret.bytes())
                .expect("a key of any length will do for HMAC");
            mac.update(header.moment.as_bytes());
            mac.update(b".");
            mac.update(body);
            // Compares in constant time.
            genuine | mac.verify_slice(signature).is_ok()
        })
    });
    if !genuine {
        return Err(refused("No signature matches the body."));
    }
    if header.moment_s.abs_diff(now_s) > WINDOW_S {
        let text = "The signature was made more than 300 seconds away from this node's clock.";
        return Err(refused(text));
    }
    Ok(())
}

fn refused(detail: &'static str) -> Failure {
    Failure::new(ErrorCode::InvalidSignature, detail)
}

/// The parsed header.
struct Header<'a> {
    /// The digits of the time, as they were signed.
    moment: &'a str,
    moment_s: u64,
    signatures: Vec<[u8; 32]>,
}

impl Header<'_> {
    /// Ignores parts with other names: later versions may add some.
    fn read(value: &str) -> Option<Header<'_>> {
        let (mut moment, mut signatures) = (None, Vec::new());
        for part in value.split(',') {
            match part.trim().split_once('=')? {
                ("t", digits) if moment.is_none() => moment = Some(digits),
                ("t", _) => return None,
                ("v1", hex) if signatures.len() < SIGNATURES_MAX => signatures.push(bytes(hex)?),
                ("v1", _) => return None,
                _ => {}
            }
        }
        let moment = moment.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
        let moment_s = moment.parse().ok()?;
        (!signatures.is_empty()).then_some(Header { moment, moment_s, signatures })
    }
}

/// The 32 bytes of 64 hexadecimal digits.
fn bytes(hex: &str) -> Option<[u8; 32]> {
    let digits: &[u8; 64] = hex.as_bytes().try_into().ok()?;
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |at: usize| char::from(pair[at]).to_digit(16);
        *byte = u8::try_from(digit(0)? << 4 | digit(1)?).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_700_000_000;
    const BODY: &[u8] = br#"{"a":1}"#;
    /// Of `1700000000.{"a":1}`, made by another program: `openssl dgst -sha256 -hmac SECRET`.
    const MAC: &str = "98a51b330afc58453095af8ed727e6cc4bd565edb4230482620146eda751b416";
    const SECRET: &str = "correct horse battery";

    fn headers(value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(SIGNATURE, value.parse().unwrap());
        headers
    }

    fn is_fine(value: &str, body: &[u8], now_s: u64) -> bool {
        let secrets = [WebhookSecret::new("another secret, not this"), WebhookSecret::new(SECRET)];
        check_at(&secrets, &headers(value), body, now_s).is_ok()
    }

    #[test]
    fn a_signature_of_any_known_secret_is_accepted_within_the_window() {
        let plain = format!("t={NOW},v1={MAC}");
        for (value, now_s) in [
            (plain.clone(), NOW),
            (plain.clone(), NOW + 300),
            (plain.clone(), NOW - 300),
            (format!("t={NOW}, v1={}, v0=abc, v1={}", "0".repeat(64), MAC.to_uppercase()), NOW),
        ] {
            assert!(is_fine(&value, BODY, now_s), "{value}");
        }
        for now_s in [NOW + 301, NOW - 301, 0, u64::MAX] {
            assert!(!is_fine(&plain, BODY, now_s), "{now_s}");
        }
    }

    #[test]
    fn other_signatures_are_refused() {
        let good = format!("t={NOW},v1={MAC}");
        assert!(!is_fine(&good, br#"{"a":2}"#, NOW), "another body");
        let many = format!("t={NOW}{}", format!(",v1={MAC}").repeat(SIGNATURES_MAX + 1));
        for value in [
            "",
            "x",
            &format!("v1={MAC}"),
            &format!("t={NOW}"),
            &format!("t={NOW},v1="),
            &format!("t={NOW},v1={}", &MAC[1..]),
            &format!("t={NOW},v1={MAC}0"),
            &format!("t={NOW},v1=g{}", &MAC[1..]),
            &format!("t={NOW},v1={}", "0".repeat(64)),
            &format!("t={},v1={MAC}", NOW + 1),
            &format!("t=0{NOW},v1={MAC}"),
            &format!("t=+{NOW},v1={MAC}"),
            &format!("t=,v1={MAC}"),
            &format!("t={NOW},t={NOW},v1={MAC}"),
            &format!("t=99999999999999999999,v1={MAC}"),
            &many,
        ] {
            assert!(!is_fine(value, BODY, NOW), "{value}");
        }
        let secrets = [WebhookSecret::new(SECRET)];
        let mut twice = headers(&good);
        twice.append(SIGNATURE, good.parse().unwrap());
        assert!(check_at(&secrets, &twice, BODY, NOW).is_err());
        assert!(check_at(&secrets, &HeaderMap::new(), BODY, NOW).is_err());
        assert!(check_at(&[], &headers(&good), BODY, NOW).is_err(), "no secret to check with");
    }

    #[test]
    fn without_a_secret_all_are_refused_unless_unsigned_ones_are_wanted() {
        let with = |webhook_unsigned| Settings { webhook_unsigned, ..Settings::default() };
        assert!(check(&with(false), &HeaderMap::new(), BODY, true).is_err());
        assert!(check(&with(true), &HeaderMap::new(), BODY, true).is_ok());
        assert!(check(&with(true), &HeaderMap::new(), BODY, false).is_err(), "tokens are required");
        let webhook_secrets = vec![WebhookSecret::new(SECRET)];
        let both = Settings { webhook_secrets, ..with(true) };
        assert!(check(&both, &HeaderMap::new(), BODY, true).is_err(), "there is a secret");
    }
}
