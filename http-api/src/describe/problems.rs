//! Answers that are problems: the codes of each status, and their common schema.

use std::collections::{BTreeMap, BTreeSet};

use client::wire::{self, ErrorCode};
use serde_json::{Map, Value, json};

use super::examples;
use super::parameters::{ALWAYS, COUNTED};
use super::words::{headers, reference, schema};
use crate::failure::says_when_to_retry;

/// One response for each status, from the codes that an operation can answer.
pub(crate) fn by_status(codes: &BTreeSet<ErrorCode>) -> BTreeMap<u16, Value> {
    let response = |(status, codes): (u16, Vec<ErrorCode>)| match codes[..] {
        [code] => (status, reference("responses", &name(code))),
        _ => (status, response(&codes)),
    };
    grouped(codes).into_iter().map(response).collect()
}

fn grouped(codes: &BTreeSet<ErrorCode>) -> BTreeMap<u16, Vec<ErrorCode>> {
    let mut statuses: BTreeMap<u16, Vec<ErrorCode>> = BTreeMap::new();
    for code in codes {
        statuses.entry(code.status()).or_default().push(*code);
    }
    statuses
}

/// The codes that are the only ones of their status.
pub(crate) fn alone(codes: &BTreeSet<ErrorCode>) -> impl Iterator<Item = ErrorCode> {
    let single = |codes: Vec<ErrorCode>| if let [code] = codes[..] { Some(code) } else { None };
    grouped(codes).into_values().filter_map(single)
}

/// The responses of statuses with one code, as components.
pub(crate) fn responses(codes: &BTreeSet<ErrorCode>) -> Value {
    codes.iter().map(|code| (name(*code), response(&[*code]))).collect::<Map<_, _>>().into()
}

/// `not_found` as `NotFound`.
fn name(code: ErrorCode) -> String {
    let capital = |word: &str| {
        let (first, rest) = word.split_at(1);
        first.to_uppercase() + rest
    };
    code.as_str().split('_').map(capital).collect()
}

/// One response whose problem has one of these codes, all of one status.
fn response(codes: &[ErrorCode]) -> Value {
    let status = codes[0].status();
    let words: Vec<&str> = codes.iter().map(|code| code.as_str()).collect();
    let mut problem = schema("Problem");
    problem["properties"] = json!({
        "status": {"const": status},
        "error": {"enum": words},
        "error_code": {"enum": codes.iter().map(|code| code.upper()).collect::<Vec<_>>()},
        "outcome": {"const": codes[0].outcome().as_str()},
        "retryable": {"const": codes[0].is_retryable()},
    });
    let mut names: Vec<&str> = ALWAYS.into_iter().chain(COUNTED).collect();
    if says_when_to_retry(codes[0]) {
        problem["required"] = json!(["retry_after"]);
        names.push("Retry-After");
    }
    if codes[0] == ErrorCode::UpgradeRequired {
        names.push("Upgrade");
    }
    if status == 401 {
        names.push("WWW-Authenticate");
    }
    if status == 404 {
        names.push("X-Consistency");
    }
    let examples: Map<String, Value> =
        words.iter().map(|word| ((*word).to_owned(), reference("examples", word))).collect();
    let text: Vec<String> =
        codes.iter().map(|code| format!("`{}`: {}", code.as_str(), meaning(*code))).collect();
    json!({
        "description": text.join("\n\n"),
        "headers": headers(&names),
        "content": {wire::PROBLEM_JSON: {"schema": problem, "examples": examples}},
    })
}

/// A malformed request whose `error` may also be `word`.
pub(crate) fn malformed_or(word: &str) -> Value {
    let code = ErrorCode::MalformedRequest;
    let mut response = response(&[code]);
    let content = &mut response["content"][wire::PROBLEM_JSON];
    content["schema"]["properties"]["error"] = json!({"enum": [code.as_str(), word]});
    content["examples"]["missing"] = json!({"value": examples::malformed_as(word)});
    response
}

/// Explains when a code is answered.
pub(crate) fn meaning(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::MalformedRequest => {
            "the body is not a valid JSON object, or the query, the path or a header is malformed."
        }
        ErrorCode::IdempotencyKeyMismatch => "the header and the body have different keys.",
        ErrorCode::IdempotencyKeyInvalid => {
            "the key is empty, too long, not printable, or was given twice."
        }
        ErrorCode::Unauthorized => "credentials are missing or wrong.",
        ErrorCode::InvalidSignature => "the signature is missing or wrong.",
        ErrorCode::Forbidden => {
            "a web page of another origin sent this, or the credentials do not allow it."
        }
        ErrorCode::NotFound => "it does not exist, or it was archived.",
        ErrorCode::MethodNotAllowed => "the path has other methods.",
        ErrorCode::NotAcceptable => "the `Accept` header excludes JSON.",
        ErrorCode::RequestTimeout => "the body did not arrive in time. The connection is closed.",
        ErrorCode::PayloadTooLarge => "the body is too large. The connection is closed.",
        ErrorCode::UriTooLong => "the path and query are too long.",
        ErrorCode::UnsupportedMediaType => {
            "the body is not `application/json`, or it has a content encoding."
        }
        ErrorCode::MisdirectedRequest => {
            "the node does not answer to the name in `Host`; its operator can add names."
        }
        ErrorCode::InsufficientStock => "fewer units are for sale than were requested.",
        ErrorCode::PurchaseLimitExceeded => {
            "the order or the user would have more units than allowed."
        }
        ErrorCode::SaleNotOpen => "the sale of a product opens later, after `retry_after_ms`.",
        ErrorCode::SaleClosed => "the sale of a product is over.",
        ErrorCode::MinimumNotMet => "one order must request more units.",
        ErrorCode::HeldLimitExceeded => "the user would have more units in holds than allowed.",
        ErrorCode::TotalMismatch => {
            "the total is `actual`, not `expected`; `items` has the prices."
        }
        ErrorCode::ReferenceTaken => {
            "another order has the `client_reference`: `order_id`, if you may know it."
        }
        ErrorCode::HoldExpired => "the hold has expired.",
        ErrorCode::HoldConsumed => "the hold is already an order.",
        ErrorCode::HoldReleased => "the hold was released.",
        ErrorCode::KeyFenced => "the key was fenced and can make no order.",
        ErrorCode::StockMismatch => "the stock is not what was expected.",
        ErrorCode::BatchRejected => {
            "orders of the atomic batch are refused, the first of them for a reason that is not a 409; `results` names them all."
        }
        ErrorCode::EventsGone => "the next events are no longer stored; read the state again.",
        ErrorCode::VersionMismatch => "the product no longer has a version that `If-Match` names.",
        ErrorCode::ValidationError => "`errors` names every field or parameter at fault.",
        ErrorCode::IdempotencyKeyReused => "the key was used for another request.",
        ErrorCode::OrderNotCancellable => "the order is no longer PENDING.",
        ErrorCode::PaymentMethodUnavailable => {
            "the order asks for `gateway` or `mock`, and this node does not have that gateway."
        }
        ErrorCode::UpgradeRequired => "the request is not a WebSocket handshake of RFC 6455.",
        ErrorCode::ChangeInProgress => "another membership change is under way.",
        ErrorCode::QuorumAtRisk => "the reachable voters would not be a majority afterwards.",
        ErrorCode::MemberConflict => {
            "another member has the id or an address, a member had the id before, or there are too many members."
        }
        ErrorCode::LevelConflict => {
            "a node runs a build that does not speak the level, or was not heard, so its levels are not known."
        }
        ErrorCode::LevelTooLow => {
            "the cluster's level is too low for the request: `holdfast level raise` raises it."
        }
        ErrorCode::NotRefundable => "the order is not PAID.",
        ErrorCode::RefundExceedsPaid => "less than the requested amount is left of what was paid.",
        ErrorCode::ReturnExceedsSold => "a line has fewer units left than the request gives back.",
        ErrorCode::OrderNotProcessing => {
            "the order is not PROCESSING, so there is nothing to decide about its payment."
        }
        ErrorCode::PaymentInFlight => {
            "a node is calling the gateway about the order; try again in a minute."
        }
        ErrorCode::AttemptChanged => "another payment attempt of the order is current.",
        ErrorCode::PaymentNotCancelled => {
            "the gateway does not confirm that the payment takes no money."
        }
        ErrorCode::UnknownMember => "no member has this id.",
        ErrorCode::CannotLead => "no reachable voter was named or found.",
        ErrorCode::TooManyRequests => "the address has used up its requests of this minute.",
        ErrorCode::NoLeader => "no leader is known, or this node is stopping. Nothing was applied.",
        ErrorCode::Overloaded => {
            "a queue or another bound is full, or the disk of this node does not answer. Nothing was applied."
        }
        ErrorCode::StorageFull => {
            "the disk of this node, or of too many other nodes, is almost full. Nothing was applied; reads still work."
        }
        ErrorCode::MemoryFull => {
            "the memory of this node, or of too many other nodes, is nearly used up. Nothing was applied; reads, cancels and payments still work."
        }
        ErrorCode::StaleRead => "this node could not catch up in time.",
        ErrorCode::CommitTimeout => {
            "the write was proposed and may still take effect. Retry with the same key, or look it up by key."
        }
        ErrorCode::InternalError => "the server failed; its log has more under the trace id.",
    }
}
