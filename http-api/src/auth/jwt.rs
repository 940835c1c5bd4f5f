//! Tokens of customers that a shop signs itself: JWTs with an Ed25519 signature (RFC 7519, 8037).
//!
//! A shop's own login makes one for each customer, and browsers send it. The key that a token names
//! decides the algorithm; what the token says of it is only compared. So `none`, and a public key
//! taken for a shared secret, open nothing. Nothing here is replicated: all nodes get the same file
//! of public keys.

use std::collections::HashMap;
use std::fmt;

use engine::auth::{Scope, Scopes};
use engine::ids::{Timestamp, UserId};
use parking_lot::Mutex;
use ring::signature::{ED25519, UnparsedPublicKey};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::base64url;

/// The most keys at a time.
const KEYS_MAX: usize = 16;
/// The longest token, in bytes.
const TOKEN_BYTES_MAX: usize = 2_048;
/// The longest life of a token, in seconds: nobody can revoke one.
const LIFE_S_MAX: u64 = 3_600;
/// How far the clocks of who signs and of this node may differ, in seconds.
const LEEWAY_S: u64 = 60;
/// Verified tokens that are remembered: a signature costs 0.1 ms.
const KNOWN_MAX: usize = 8_192;
/// Wrong signatures that are checked in a second. Beyond them only remembered tokens are taken.
const WRONG_MAX: u32 = 500;

/// The public keys of who signs tokens of customers, and for whom they sign.
pub struct CustomerKeys {
    keys: Vec<(Option<Box<str>>, [u8; 32])>,
    audience: String,
    known: Mutex<Known>,
}

/// What was verified, and how many wrong signatures the current second has seen.
#[derive(Default)]
struct Known {
    customers: HashMap<[u8; 32], Customer>,
    second: u64,
    wrong: u32,
}

/// A customer by a token of their shop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Customer {
    pub(crate) user: UserId,
    pub(crate) scopes: Scopes,
    /// From this moment on the token counts for nothing.
    pub(crate) expires_at: Timestamp,
}

/// What a token claims, and what has to prove it.
struct Claimed<'k, 't> {
    customer: Customer,
    /// The key that has to have signed it.
    key: &'k [u8; 32],
    signed: &'t [u8],
    signature: Vec<u8>,
}

/// Why a token opens nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It is wrong or over.
    Wrong,
    /// Too many wrong ones were checked in this second.
    TooMany,
}

#[derive(Deserialize)]
struct KeySet {
    keys: Vec<Key>,
}

#[derive(Deserialize)]
struct Key {
    kty: String,
    crv: Option<String>,
    kid: Option<Box<str>>,
    x: Option<String>,
    d: Option<String>,
}

#[derive(Deserialize)]
struct Header<'a> {
    alg: &'a str,
    kid: Option<String>,
    crit: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    aud: Audience,
    iat: u64,
    exp: u64,
    nbf: Option<u64>,
    scope: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

impl CustomerKeys {
    /// Reads a set of public keys (RFC 7517) for tokens to this cluster.
    ///
    /// # Errors
    /// What is wrong with the set. It does not quote it.
    pub fn read(text: &str, cluster: &str) -> Result<CustomerKeys, String> {
        let set: KeySet = serde_json::from_str(text).map_err(|error| {
            format!("expected a JSON Web Key Set, as in {{\"keys\": [{{…}}]}}: {error}")
        })?;
        if !(1..=KEYS_MAX).contains(&set.keys.len()) {
            return Err(format!("has {} keys: expected 1 to {KEYS_MAX}", set.keys.len()));
        }
        let mut keys = Vec::new();
        for (at, key) in set.keys.into_iter().enumerate() {
            let wrong = |what: &str| Err(format!("key {at} {what}"));
            if key.d.is_some() {
                return wrong("has its private part `d`: nodes need public keys only");
            }
            if key.kty != "OKP" || key.crv.as_deref() != Some("Ed25519") {
                return wrong("is of another kind: expected `kty` OKP and `crv` Ed25519");
            }
            let bytes = key.x.as_deref().and_then(base64url::decode);
            let Some(public) = bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok()) else {
                return wrong("has no `x` of 32 bytes in base64url");
            };
            if keys.iter().any(|(kid, _)| *kid == key.kid) {
                return wrong("has the `kid` of another one, or both have none");
            }
            keys.push((key.kid, public));
        }
        let audience = format!("holdfast:{cluster}");
        Ok(CustomerKeys { keys, audience, known: Mutex::default() })
    }

    /// Whether a bearer token has the shape of a JWT.
    pub(crate) fn is_jwt(text: &str) -> bool {
        text.bytes().filter(|byte| *byte == b'.').count() == 2
    }

    /// Verifies a token at a moment.
    pub(crate) fn verify(&self, text: &str, now: Timestamp) -> Result<Customer, Refusal> {
        if text.len() > TOKEN_BYTES_MAX {
            return Err(Refusal::Wrong);
        }
        let digest: [u8; 32] = Sha256::digest(text).into();
        let second = now.0 / 1_000;
        {
            let mut known = self.known.lock();
            if let Some(customer) = known.customers.get(&digest) {
                let is_live = now < customer.expires_at;
                return if is_live { Ok(*customer) } else { Err(Refusal::Wrong) };
            }
            if known.second != second {
                (known.second, known.wrong) = (second, 0);
            }
            if known.wrong >= WRONG_MAX {
                return Err(Refusal::TooMany);
            }
        }
        let claimed = self.claims(text, second).ok_or(Refusal::Wrong)?;
        let Claimed { customer, key, signed, signature } = claimed;
        let verified = UnparsedPublicKey::new(&ED25519, key).verify(signed, &signature);
        let mut known = self.known.lock();
        if verified.is_err() {
            known.wrong += 1;
            return Err(Refusal::Wrong);
        }
        if known.customers.len() >= KNOWN_MAX {
            known.customers.clear();
        }
        known.customers.insert(digest, customer);
        Ok(customer)
    }

    /// What a token claims. `None` when the claims alone are not good enough.
    fn claims<'t>(&self, text: &'t str, now_s: u64) -> Option<Claimed<'_, 't>> {
        let (signed, signature) = text.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let (header, claims) = (base64url::decode(header)?, base64url::decode(claims)?);
        let header: Header<'_> = serde_json::from_slice(&header).ok()?;
        if !matches!(header.alg, "EdDSA" | "Ed25519") || header.crit.is_some() {
            return None;
        }
        let key = match header.kid.as_deref() {
            None if self.keys.len() == 1 => self.keys.first(),
            kid => self.keys.iter().find(|(known, _)| known.is_some() && known.as_deref() == kid),
        };
        let claims: Claims = serde_json::from_slice(&claims).ok()?;
        let is_meant = match &claims.aud {
            Audience::One(one) => *one == self.audience,
            Audience::Several(all) => all.contains(&self.audience),
        };
        let is_short = claims.exp.checked_sub(claims.iat)? <= LIFE_S_MAX;
        let begins_s = claims.iat.max(claims.nbf.unwrap_or(0));
        let has_begun = begins_s <= now_s.saturating_add(LEEWAY_S);
        let ends_s = claims.exp.saturating_add(LEEWAY_S);
        if !is_meant || !is_short || !has_begun || ends_s <= now_s {
            return None;
        }
        let is_plain =
            !claims.sub.starts_with('0') && claims.sub.bytes().all(|b| b.is_ascii_digit());
        let user = UserId(claims.sub.parse().ok().filter(|_| is_plain)?);
        let scopes = claims.scope.as_deref().map_or(Some(Scopes::OF_USERS), scopes_of)?;
        let expires_at = Timestamp(ends_s.checked_mul(1_000)?);
        let signature = base64url::decode(signature)?;
        let customer = Customer { user, scopes, expires_at };
        Some(Claimed { customer, key: &key?.1, signed: signed.as_bytes(), signature })
    }
}

/// The scopes that a claim names. Those that are not for customers, or unknown here, give nothing:
/// a login may have scopes of other services.
fn scopes_of(claim: &str) -> Option<Scopes> {
    let named = |scope: &Scope| claim.split(' ').any(|word| word == scope.as_str());
    let scopes = Scopes::OF_USERS.iter().filter(named).fold(Scopes::default(), Scopes::with);
    (scopes != Scopes::default()).then_some(scopes)
}

impl fmt::Debug for CustomerKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CustomerKeys").field("keys", &self.keys.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use ring::signature::{Ed25519KeyPair, KeyPair};
    use serde_json::{Value, json};

    use super::*;

    const NOW_S: u64 = 1_800_000_000;

    fn pair(seed: u8) -> Ed25519KeyPair {
        Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
    }

    fn jwk(seed: u8, kid: &str) -> Value {
        let x = base64url::encode(pair(seed).public_key().as_ref());
        json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": x})
    }

    fn keys() -> CustomerKeys {
        let set = json!({"keys": [jwk(1, "a"), jwk(2, "b")]});
        CustomerKeys::read(&set.to_string(), "shop").unwrap()
    }

    fn signed(seed: u8, header: &Value, claims: &Value) -> String {
        let part = |value: &Value| base64url::encode(value.to_string().as_bytes());
        let text = format!("{}.{}", part(header), part(claims));
        let signature = base64url::encode(pair(seed).sign(text.as_bytes()).as_ref());
        format!("{text}.{signature}")
    }

    fn header() -> Value {
        json!({"alg": "EdDSA", "kid": "a", "typ": "JWT"})
    }

    fn claims() -> Value {
        json!({"sub": "7", "aud": "holdfast:shop", "iat": NOW_S, "exp": NOW_S + 600})
    }

    fn with(mut value: Value, field: &str, other: Value) -> Value {
        value[field] = other;
        value
    }

    fn at(second: u64) -> Timestamp {
        Timestamp(second * 1_000)
    }

    #[test]
    fn a_signed_token_names_its_customer_until_it_ends() {
        let keys = keys();
        let token = signed(1, &header(), &claims());
        assert!(CustomerKeys::is_jwt(&token));
        let customer = keys.verify(&token, at(NOW_S)).unwrap();
        assert_eq!((customer.user, customer.scopes), (UserId(7), Scopes::OF_USERS));
        assert_eq!(keys.verify(&token, at(NOW_S + 659)), Ok(customer), "remembered");
        assert_eq!(keys.verify(&token, at(NOW_S + 660)), Err(Refusal::Wrong), "it is over");
        let narrow = with(claims(), "scope", json!("openid orders:read cluster:admin"));
        let narrow = keys.verify(&signed(1, &header(), &narrow), at(NOW_S)).unwrap();
        assert_eq!(narrow.scopes, Scopes::default().with(Scope::OrdersRead));
        let other = signed(2, &with(header(), "kid", json!("b")), &claims());
        assert!(keys.verify(&other, at(NOW_S)).is_ok());
        let several = with(claims(), "aud", json!(["x", "holdfast:shop"]));
        assert!(keys.verify(&signed(1, &header(), &several), at(NOW_S)).is_ok());
    }

    #[test]
    fn nothing_else_opens_anything() {
        let keys = keys();
        let mut wrong = vec![
            signed(2, &header(), &claims()),
            signed(3, &header(), &claims()),
            String::new(),
            "..".into(),
            "a.b.c".into(),
            "x".repeat(TOKEN_BYTES_MAX + 1),
        ];
        for (field, value) in [
            ("alg", json!("none")),
            ("alg", json!("HS256")),
            ("alg", json!("RS256")),
            ("kid", json!("c")),
            ("kid", json!(null)),
            ("crit", json!(["exp"])),
        ] {
            wrong.push(signed(1, &with(header(), field, value), &claims()));
        }
        for (field, value) in [
            ("sub", json!("07")),
            ("sub", json!("-7")),
            ("sub", json!("")),
            ("sub", json!("7x")),
            ("sub", json!(7)),
            ("aud", json!("holdfast:other")),
            ("aud", json!([])),
            ("aud", json!(null)),
            ("iat", json!(NOW_S + 61)),
            ("iat", json!(NOW_S - 3_001)),
            ("iat", json!(null)),
            ("nbf", json!(NOW_S + 61)),
            ("exp", json!(NOW_S - 60)),
            ("exp", json!(u64::MAX)),
            ("exp", json!(null)),
            ("scope", json!("cluster:admin")),
            ("scope", json!("")),
        ] {
            wrong.push(signed(1, &header(), &with(claims(), field, value)));
        }
        let good = signed(1, &header(), &claims());
        let unsigned = good.rsplit_once('.').unwrap().0;
        wrong.push(format!("{unsigned}."));
        wrong.push(unsigned.to_owned());
        wrong.push(format!("{good}="));
        wrong.push(format!(" {good}"));
        for token in wrong {
            assert_eq!(keys.verify(&token, at(NOW_S)), Err(Refusal::Wrong), "{token}");
        }
        // Every other bit of the signature and of what is signed matters.
        for place in 0..good.len() {
            let mut bytes = good.clone().into_bytes();
            bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
            let text = String::from_utf8(bytes).unwrap();
            assert!(keys.verify(&text, at(NOW_S)).is_err(), "{text}");
        }
        assert!(keys.verify(&good, at(NOW_S + 1)).is_ok());
    }

    #[test]
    fn a_flood_of_wrong_signatures_costs_little_and_known_customers_go_on() {
        let keys = keys();
        let good = signed(1, &header(), &claims());
        assert!(keys.verify(&good, at(NOW_S)).is_ok());
        for n in 0..WRONG_MAX {
            let wrong = signed(2, &header(), &with(claims(), "jti", json!(n)));
            assert_eq!(keys.verify(&wrong, at(NOW_S)), Err(Refusal::Wrong));
        }
        let new = signed(1, &header(), &with(claims(), "jti", json!("new")));
        assert_eq!(keys.verify(&new, at(NOW_S)), Err(Refusal::TooMany));
        assert!(keys.verify(&good, at(NOW_S)).is_ok());
        assert!(keys.verify(&new, at(NOW_S + 1)).is_ok(), "the next second");
    }

    #[test]
    fn a_set_that_cannot_be_meant_is_refused() {
        let read = |keys: Value| CustomerKeys::read(&json!({ "keys": keys }).to_string(), "shop");
        assert!(read(json!([jwk(1, "a")])).is_ok());
        let without_kid = || with(jwk(1, "a"), "kid", Value::Null);
        let one = read(json!([without_kid()])).unwrap();
        let bare = json!({"alg": "EdDSA"});
        assert!(one.verify(&signed(1, &bare, &claims()), at(NOW_S)).is_ok());
        for (keys, part) in [
            (json!([]), "0 keys"),
            (json!([without_kid(), without_kid()]), "kid"),
            (json!([jwk(1, "a"), jwk(2, "a")]), "kid"),
            (json!([with(jwk(1, "a"), "d", json!("AA"))]), "private"),
            (json!([with(jwk(1, "a"), "kty", json!("RSA"))]), "Ed25519"),
            (json!([with(jwk(1, "a"), "x", json!("AA"))]), "32 bytes"),
            (json!(vec![jwk(1, "a"); KEYS_MAX + 1]), "17 keys"),
        ] {
            let error = read(keys).err().unwrap();
            assert!(error.contains(part), "{error}");
        }
        let error = CustomerKeys::read("-----BEGIN PUBLIC KEY-----", "shop").err().unwrap();
        assert!(error.contains("JSON Web Key Set"), "{error}");
    }
}
