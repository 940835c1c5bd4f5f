//! An OpenAPI operation: what one endpoint takes and answers.

use std::collections::BTreeSet;

use client::wire::{self, ErrorCode, HealthStatus};
use hyper::StatusCode;
use serde_json::{Map, Value, json};

use super::parameters::{self, ALWAYS, COUNTED, EVERYWHERE, READS};
use super::problems;
use super::words::{headers, json_content, reference, schema};
use crate::auth::Access;

/// What an endpoint takes and answers.
pub(crate) struct Operation {
    /// The name for generated clients.
    pub(crate) id: &'static str,
    summary: &'static str,
    description: &'static str,
    parameters: Vec<&'static str>,
    body: Option<Body>,
    answers: Vec<Answer>,
    codes: BTreeSet<ErrorCode>,
    /// What `error` may be instead of `malformed_request`.
    word: Option<&'static str>,
    /// The messages of the WebSocket.
    messages: Option<Value>,
    is_counted: bool,
    is_keyed_apart: bool,
    access: Access,
}

struct Body {
    schema: &'static str,
    required: bool,
    example: Value,
    /// Describes a body of one object per line.
    lines: Option<&'static str>,
    /// Whether it may be sent as a merge patch (RFC 7396).
    merges: bool,
}

/// A success.
struct Answer {
    status: u16,
    text: &'static str,
    headers: &'static [&'static str],
    content: Option<(&'static str, Value)>,
}

impl Operation {
    /// An operation with a name for generated clients and a summary.
    pub(crate) fn new(id: &'static str, summary: &'static str) -> Operation {
        Operation {
            id,
            summary,
            description: "",
            parameters: Vec::new(),
            body: None,
            answers: Vec::new(),
            codes: BTreeSet::from([
                ErrorCode::MalformedRequest,
                ErrorCode::UriTooLong,
                ErrorCode::MisdirectedRequest,
            ]),
            word: None,
            messages: None,
            is_counted: false,
            is_keyed_apart: false,
            access: Access::Open,
        }
    }

    /// It answers JSON, and refuses callers that do not accept it.
    pub(crate) fn answers_json(self) -> Operation {
        self.refuses(&[ErrorCode::NotAcceptable])
    }

    /// A rate limit counts it.
    pub(crate) fn counted(mut self) -> Operation {
        self.is_counted = true;
        self.refuses(&[ErrorCode::TooManyRequests])
    }

    /// It takes an idempotency key and answers what the key did before.
    pub(crate) fn keyed_apart(mut self) -> Operation {
        self.parameters.push("IdempotencyKeyApart");
        self.is_keyed_apart = true;
        if let Some(made) = self.answers.iter().find(|answer| answer.status == 201) {
            let content = made.content.clone();
            let text = "The key made this row before; this is the row as it is now.";
            self = self.answers(200, text, &["ETag", "Idempotent-Replayed"], content);
        }
        self.refuses(&[
            ErrorCode::IdempotencyKeyInvalid,
            ErrorCode::IdempotencyKeyReused,
            ErrorCode::ValidationError,
            ErrorCode::NotFound,
        ])
    }

    /// It refuses unknown query parameters.
    pub(crate) fn checks_query(self) -> Operation {
        self.refuses(&[ErrorCode::ValidationError])
    }

    /// The names of the query parameters that it takes.
    pub(crate) fn query_parameters(&self) -> Vec<String> {
        parameters::in_query(&self.parameters)
    }

    /// It refuses web pages of other origins.
    pub(crate) fn refuses_pages(self) -> Operation {
        self.refuses(&[ErrorCode::Forbidden])
    }

    /// It asks for credentials.
    pub(crate) fn demands(mut self, access: Access) -> Operation {
        self.access = access;
        let codes = [ErrorCode::Unauthorized, ErrorCode::Forbidden];
        self.refuses(if access == Access::Known { &codes[..1] } else { &codes })
    }

    /// It reads the body of a request.
    pub(crate) fn reads_body(mut self) -> Operation {
        self.parameters.push("Prefer");
        self.refuses(&[
            ErrorCode::RequestTimeout,
            ErrorCode::PayloadTooLarge,
            ErrorCode::UnsupportedMediaType,
            ErrorCode::ValidationError,
        ])
    }

    /// Every code that it can answer.
    pub(crate) fn codes(&self) -> &BTreeSet<ErrorCode> {
        &self.codes
    }

    /// What it does.
    pub(crate) fn text(mut self, text: &'static str) -> Operation {
        self.description = text;
        self
    }

    /// Parameters that it reads beside those that every operation reads.
    pub(crate) fn takes(mut self, parameters: &[&'static str]) -> Operation {
        self.parameters.extend(parameters);
        self
    }

    /// The body that it needs.
    pub(crate) fn body(mut self, schema: &'static str, example: Value) -> Operation {
        self.body = Some(Body { schema, required: true, example, lines: None, merges: false });
        self
    }

    /// The body that it reads, if there is one.
    pub(crate) fn optional_body(mut self, schema: &'static str, example: Value) -> Operation {
        self.body = Some(Body { schema, required: false, example, lines: None, merges: false });
        self
    }

    /// The body may also be sent as a merge patch (RFC 7396).
    pub(crate) fn or_merge_patch(mut self) -> Operation {
        self.body.as_mut().expect("a body that is an object comes first").merges = true;
        self
    }

    /// The body may also be one object per line.
    pub(crate) fn or_lines(mut self, text: &'static str) -> Operation {
        self.body.as_mut().expect("a body that is an object comes first").lines = Some(text);
        self
    }

    /// Codes that it may answer.
    pub(crate) fn refuses(mut self, codes: &[ErrorCode]) -> Operation {
        self.codes.extend(codes);
        self
    }

    /// What `error` may be instead of `malformed_request`.
    pub(crate) fn says_instead(mut self, word: &'static str) -> Operation {
        self.word = Some(word);
        self
    }

    /// What goes over the connection once it is a WebSocket.
    pub(crate) fn messages(mut self, messages: Value) -> Operation {
        self.messages = Some(messages);
        self
    }

    /// It writes to the log.
    pub(crate) fn writes(self) -> Operation {
        self.refuses(&[
            ErrorCode::NoLeader,
            ErrorCode::Overloaded,
            ErrorCode::StorageFull,
            ErrorCode::MemoryFull,
            ErrorCode::CommitTimeout,
            ErrorCode::LevelTooLow,
        ])
    }

    /// It reads the state, as fresh as the caller wants it.
    pub(crate) fn reads(self) -> Operation {
        self.takes(&READS).looks().refuses(&[ErrorCode::ValidationError])
    }

    /// It reads the state.
    pub(crate) fn looks(self) -> Operation {
        self.refuses(&[
            ErrorCode::StaleRead,
            ErrorCode::Overloaded,
            ErrorCode::NoLeader,
            ErrorCode::InternalError,
        ])
    }

    /// A success.
    pub(crate) fn answers(
        mut self,
        status: u16,
        text: &'static str,
        headers: &'static [&'static str],
        content: Option<(&'static str, Value)>,
    ) -> Operation {
        self.answers.push(Answer { status, text, headers, content });
        self
    }

    /// It makes a row.
    pub(crate) fn makes(self, text: &'static str, of: &str, example: Value) -> Operation {
        self.answers(201, text, &["ETag", "Location"], json_content(of, example))
    }

    /// A known key is answered with the order that it made, a dry run with what would come of it.
    pub(crate) fn replays(self, example: Value) -> Operation {
        let text = "The key made this order before; this is the order as it is now. Or, to a dry \
                    run, what the request would come to.";
        self.dry_runs(text, "OrderOrDryRunAnswer", example)
    }

    /// It takes `dry_run`, and answers 200 to a known key too.
    pub(crate) fn dry_runs(
        self,
        text: &'static str,
        of: &'static str,
        example: Value,
    ) -> Operation {
        let headers = &["ETag.replay", "Idempotent-Replayed.replay"];
        self.takes(&["DryRun"]).looks().answers(200, text, headers, json_content(of, example))
    }

    /// It answers one row.
    pub(crate) fn shows(self, text: &'static str, of: &str, example: Value) -> Operation {
        let stale = self.parameters.contains(&READS[0]);
        let headers: &[_] = if stale { &["ETag", "X-Consistency"] } else { &["ETag"] };
        self.answers(200, text, headers, json_content(of, example))
    }

    /// It answers something without a version.
    pub(crate) fn lists(self, text: &'static str, of: &str, example: Value) -> Operation {
        let stale = self.parameters.contains(&READS[0]);
        let headers: &[_] = if stale { &["X-Consistency"] } else { &[] };
        self.answers(200, text, headers, json_content(of, example))
    }

    /// It answers 200 or 503 with the same schema.
    pub(crate) fn states(self, of: &str, example: fn(HealthStatus) -> Value) -> Operation {
        self.answers(200, "Yes.", &[], json_content(of, example(HealthStatus::Ok))).answers(
            503,
            "No.",
            &[],
            json_content(of, example(HealthStatus::Degraded)),
        )
    }

    /// The operation for the document.
    pub(crate) fn describe(&self, tag: &str) -> Value {
        let id = self.id;
        let mut responses: Map<String, Value> = problems::by_status(&self.codes)
            .into_iter()
            .map(|(status, response)| (status.to_string(), response))
            .collect();
        if let Some(word) = self.word {
            responses.insert("400".to_owned(), problems::malformed_or(word));
        }
        let common: &[_] = if self.is_counted { &COUNTED } else { &[] };
        for Answer { status, text, headers: own, content } in &self.answers {
            let has_key = self.is_keyed_apart && *status < 300;
            let may_repeat = has_key && *status != 201 && !own.contains(&"Idempotent-Replayed");
            let replayed: &[_] = if may_repeat { &["Idempotent-Replayed.apart"] } else { &[] };
            let names: Vec<&str> = [&ALWAYS[..], common, own, replayed].concat();
            let mut response = json!({"description": text, "headers": headers(&names)});
            if let Some((kind, content)) = content {
                response["content"] = json!({ *kind: content });
            }
            let other = responses.insert(status.to_string(), response);
            let title = StatusCode::from_u16(*status).ok().and_then(|it| it.canonical_reason());
            assert!(other.is_none() && title.is_some(), "{id} has one answer for {status}");
        }
        let parameters: Vec<Value> = self
            .parameters
            .iter()
            .chain(&EVERYWHERE)
            .map(|name| reference("parameters", name))
            .collect();
        let mut operation = json!({
            "operationId": id,
            "tags": [tag],
            "summary": self.summary,
            "description": self.description,
            "parameters": parameters,
            "responses": responses,
            "security": security(self.access),
        });
        if let Some(Body { schema: of, required, example, lines, merges }) = &self.body {
            let mut content = json!({wire::JSON: {"schema": schema(of), "example": example}});
            if let Some(text) = lines {
                let schema = json!({"type": "string", "description": text});
                content[wire::NDJSON] = json!({ "schema": schema });
            }
            if *merges {
                content[wire::MERGE_PATCH] = content[wire::JSON].clone();
            }
            operation["requestBody"] = json!({"required": required, "content": content});
        }
        if let Some(messages) = &self.messages {
            operation["x-messages"] = messages.clone();
        }
        operation
    }
}

/// What credentials an operation asks for, each way alone: a token, with its scope, or a signature.
fn security(access: Access) -> Value {
    let token =
        json!({ TOKEN: access.scope().map(|scope| vec![scope.as_str()]).unwrap_or_default() });
    match access {
        Access::Open => json!([]),
        Access::Signed(_) => json!([{ SIGNATURE: [] }, token]),
        Access::Unset | Access::Known | Access::Scope(_) | Access::Channels(_) => json!([token]),
    }
}

/// The ways to prove who sends a request.
pub(crate) fn security_schemes() -> Value {
    json!({
        TOKEN: {
            "type": "http",
            "scheme": "bearer",
            "description": "A token of the cluster, or the root token of a node; see *Credentials*. \
                            The names beside it are the scopes that the token must have.",
        },
        SIGNATURE: {
            "type": "apiKey",
            "in": "header",
            "name": "Holdfast-Signature",
            "description": "See *Signed webhooks*.",
        },
    })
}

const TOKEN: &str = "token";
const SIGNATURE: &str = "signature";
