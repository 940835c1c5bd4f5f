//! Answers that are problems: which codes a status can have, and the shape they share.

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

/// The responses of statuses with one code, to be referred to.
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

/// A malformed request for which `error` may also be another word than the code.
pub(crate) fn malformed_or(word: &str) -> Value {
    let code = ErrorCode::MalformedRequest;
    let mut response = response(&[code]);
    let content = &mut response["content"][wire::PROBLEM_JSON];
    content["schema"]["properties"]["error"] = json!({"enum": [code.as_str(), word]});
    content["examples"]["missing"] = json!({"value": examples::malformed_as(word)});
    response
}

/// When a code is answered, in words.
fn meaning(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::MalformedRequest => {
            "the body is no JSON object that can be read, or the query, the path or a header is not \
             what it has to be."
        }
        ErrorCode::IdempotencyKeyMismatch => "header and body give different keys.",
        ErrorCode::IdempotencyKeyInvalid => "the key is none, or was given twice.",
        ErrorCode::Unauthorized => "credentials are missing or wrong.",
        ErrorCode::InvalidSignature => "the signature is missing or wrong.",
        ErrorCode::Forbidden => "the credentials do not allow this.",
        ErrorCode::NotFound => "there is no such thing, or it was archived.",
        ErrorCode::MethodNotAllowed => "the path exists for other methods.",
        ErrorCode::NotAcceptable => "`Accept` excludes JSON.",
        ErrorCode::RequestTimeout => "the body did not arrive in time. The connection is closed.",
        ErrorCode::PayloadTooLarge => "the body is too large. The connection is closed.",
        ErrorCode::UriTooLong => "path and query are too long.",
        ErrorCode::UnsupportedMediaType => "the body is not sent as plain `application/json`.",
        ErrorCode::InsufficientStock => "fewer units can be sold than were asked for.",
        ErrorCode::PurchaseLimitExceeded => "more units than one order or user may have.",
        ErrorCode::HoldExpired => "the hold ran out.",
        ErrorCode::HoldConsumed => "the hold was turned into an order already.",
        ErrorCode::HoldReleased => "the hold was given back.",
        ErrorCode::KeyFenced => "the key was fenced and can make nothing.",
        ErrorCode::PaymentConflict => {
            "the order has ended, is being paid otherwise, or its total is another amount."
        }
        ErrorCode::StockMismatch => "the stock is not what was expected.",
        ErrorCode::BatchRejected => {
            "orders of the atomic batch are refused for reasons that are no 409 of their own; \
             `results` names them."
        }
        ErrorCode::EventsGone => {
            "events that would follow are no longer kept; read the state anew."
        }
        ErrorCode::VersionMismatch => "the product has another version than `If-Match` names.",
        ErrorCode::ValidationError => "`errors` names every field or parameter at fault.",
        ErrorCode::IdempotencyKeyReused => "the key was used for another request.",
        ErrorCode::OrderNotCancellable => "the order is past the point where it can be cancelled.",
        ErrorCode::UpgradeRequired => "the request does not ask for a WebSocket as RFC 6455 does.",
        ErrorCode::ChangeInProgress => "another change of the membership is under way.",
        ErrorCode::QuorumAtRisk => "the voters that can be heard would be no majority afterwards.",
        ErrorCode::MemberConflict => {
            "the id or an address belongs to another member, or the id did, or there is no room."
        }
        ErrorCode::UnknownMember => "no member has this id.",
        ErrorCode::CannotLead => "no voter that can be heard was named or found.",
        ErrorCode::TooManyRequests => "the address made as many requests as it may this minute.",
        ErrorCode::NoLeader => "no leader is known, or this node is stopping. Nothing was applied.",
        ErrorCode::Overloaded => "something bounded is full. Nothing was applied.",
        ErrorCode::StorageFull => {
            "a disk, this node's or those of too many others, is short of space. Nothing was \
             applied; reads go on."
        }
        ErrorCode::StaleRead => "this node cannot answer freshly enough in time.",
        ErrorCode::CommitTimeout => {
            "the write was proposed and may yet take effect. Retry with the same key, or look."
        }
        ErrorCode::InternalError => "trouble inside; the log tells more under the trace id.",
    }
}
