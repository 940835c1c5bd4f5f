//! Reads the idempotency key of a request whose command keeps none in its row: cancels, products,
//! users, holds that end or last longer, decisions of operators.
//!
//! One mechanism for all of them: the service reads the key before the handler, and
//! [`Call::propose`](crate::call::Call::propose) wraps the command. The log sees hashes only.

use client::wire::ErrorCode;
use engine::command::{Command, Keyed, KeyedCommand, Settlement};
use engine::ids::{OrderId, UserId};
use hyper::header::IF_MATCH;
use hyper::{HeaderMap, Method};
use sha2::{Digest, Sha256};

use crate::failure::Failure;
use crate::request::{extract, fields, json};

/// A key, and what its request means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) name: u128,
    meaning: u128,
}

/// Reads the key of a request, if it has one. `operation` is its method and the path of its
/// endpoint, `argument` the variable part of its path, `user` the one that its sender is limited
/// to.
pub(crate) fn read(
    operation: (&Method, &str),
    headers: &HeaderMap,
    argument: &str,
    body: &[u8],
    user: Option<UserId>,
) -> Result<Option<Key>, Failure> {
    let header = extract::idempotency_key(headers)?;
    let Some(key) = fields::idempotency_key(header.as_deref(), None)? else { return Ok(None) };
    let user = user.map(|user| user.to_string()).unwrap_or_default();
    let name = hashed([operation.0.as_str(), operation.1, &user, key].map(str::as_bytes));
    // What is no JSON object is refused by the handler, and then the key is not used.
    let canonical = json::parse(body).map(|object| json::canonical(&object).into_bytes());
    let body = canonical.unwrap_or_else(|_| body.to_vec());
    let tags: Vec<&[u8]> = headers.get_all(IF_MATCH).iter().map(|tag| tag.as_bytes()).collect();
    let meaning = hashed([argument.as_bytes(), &tags.join(&b','), &body]);
    Ok(Some(Key { name, meaning }))
}

/// Half of a SHA-256 of parts that cannot run together. Nobody finds two requests with the same.
fn hashed<const N: usize>(parts: [&[u8]; N]) -> u128 {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    let digest: [u8; 32] = hasher.finalize().into();
    let (half, _) = digest.split_first_chunk().expect("it has more bytes");
    u128::from_le_bytes(*half)
}

impl Key {
    /// The key that every settlement of an order by an operator has, whatever the request says. So
    /// an order that was settled is not settled otherwise, and the second request is not told so.
    pub(crate) fn of_settlement(order: OrderId, outcome: &Settlement) -> Key {
        let name = hashed(["settlement", &order.to_string()].map(str::as_bytes));
        let meaning = match outcome {
            Settlement::Paid { reference } => hashed(["paid", reference].map(str::as_bytes)),
            Settlement::Failed => hashed(["failed", ""].map(str::as_bytes)),
        };
        Key { name, meaning }
    }

    /// The command under this key.
    pub(crate) fn wrap(self, command: Command) -> Result<Command, Failure> {
        let Key { name, meaning } = self;
        let command = KeyedCommand::try_from(command).map_err(|_| {
            let detail = "This request takes no idempotency key.";
            Failure::new(ErrorCode::IdempotencyKeyInvalid, detail)
        })?;
        Ok(Command::Keyed(Keyed { name, meaning, command }))
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::{HeaderName, HeaderValue};

    use super::*;
    use crate::routes;

    fn key(
        (method, path): (&str, &str),
        headers: &[(&str, &str)],
        argument: &str,
        body: &str,
        user: Option<u64>,
    ) -> Option<Key> {
        let (_, endpoint) = routes::endpoints()
            .find(|(_, endpoint)| endpoint.method == method && endpoint.path == path)
            .unwrap();
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name = HeaderName::try_from(*name).unwrap();
            map.append(name, HeaderValue::try_from(*value).unwrap());
        }
        let operation = (&endpoint.method, endpoint.path);
        read(operation, &map, argument, body.as_bytes(), user.map(UserId)).unwrap()
    }

    #[test]
    fn a_meaning_is_what_the_client_said() {
        let patch = ("PATCH", "/api/v1/products/{id}");
        let of = |headers: &[(&str, &str)], argument, body, user| {
            let mut all = vec![("idempotency-key", "k")];
            all.extend(headers);
            key(patch, &all, argument, body, user).unwrap()
        };
        let first = of(&[], "1", r#"{"price":"1.00","stock":2}"#, None);
        assert_eq!(of(&[], "1", r#" {"stock" : 2, "price":"1.00"}"#, None), first);
        assert_eq!(of(&[("x-trace-id", "t")], "1", r#"{"price":"1.00","stock":2}"#, None), first);
        for other in [
            of(&[], "2", r#"{"price":"1.00","stock":2}"#, None),
            of(&[], "1", r#"{"price":"1.00","stock":3}"#, None),
            of(&[], "1", r#"{"price":"1.0","stock":2}"#, None),
            of(&[("if-match", "\"7\"")], "1", r#"{"price":"1.00","stock":2}"#, None),
            of(&[], "1", "", None),
        ] {
            assert_eq!(other.name, first.name);
            assert_ne!(other.meaning, first.meaning);
        }
        let customer = of(&[], "1", r#"{"price":"1.00","stock":2}"#, Some(1));
        assert_ne!(customer.name, first.name, "keys of customers are apart");
        assert_eq!(customer.meaning, first.meaning);
    }

    #[test]
    fn operations_do_not_share_keys() {
        let with = [("idempotency-key", "k")];
        let create = key(("POST", "/api/v1/products"), &with, "", "{}", None).unwrap();
        let user = key(("POST", "/api/v1/users"), &with, "", "{}", None).unwrap();
        assert_ne!(create.name, user.name);
        let quoted = [("idempotency-key", "\"k\"")];
        assert_eq!(key(("POST", "/api/v1/products"), &quoted, "", "{}", None), Some(create));
        assert_eq!(key(("POST", "/api/v1/products"), &[], "", "{}", None), None);
    }
}
