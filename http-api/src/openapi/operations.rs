//! One operation for each route.

mod catalogue;
mod cluster;
mod holds;
mod orders;

use std::collections::BTreeSet;

use client::wire::{self, ErrorCode, HealthStatus};
use hyper::StatusCode;
use serde_json::{Map, Value, json};

use super::parameters::{ALWAYS, COUNTED, EVERYWHERE, READS};
use super::schemas::schema;
use super::{problems, reference};
use crate::routes::Route;

const ORDERS: &str = "Orders";
const PRODUCTS: &str = "Products";
const HOLDS: &str = "Holds";
const PAYMENTS: &str = "Payments";
const USERS: &str = "Users";
const EVENTS: &str = "Events";
const CLUSTER: &str = "Cluster";
const MONITORING: &str = "Monitoring";
const DOCUMENTS: &str = "Documents";

/// What a route takes and answers.
pub(super) struct Operation {
    route: Route,
    /// The name for generated clients.
    pub(super) id: &'static str,
    tag: &'static str,
    summary: &'static str,
    description: &'static str,
    parameters: Vec<&'static str>,
    body: Option<Body>,
    answers: Vec<Answer>,
    codes: BTreeSet<ErrorCode>,
    /// What `error` may be instead of `malformed_request`.
    word: Option<&'static str>,
}

struct Body {
    schema: &'static str,
    required: bool,
    example: Value,
    /// What a body of one object a line is.
    lines: Option<&'static str>,
}

/// An answer that is no problem.
struct Answer {
    status: u16,
    text: &'static str,
    headers: &'static [&'static str],
    content: Option<(&'static str, Value)>,
}

/// The operation of a route.
pub(super) fn operation(route: Route) -> Operation {
    match route {
        Route::ListOrders
        | Route::GetOrder
        | Route::OrderEvents
        | Route::OrderByKey
        | Route::FenceKey
        | Route::CreateOrder
        | Route::Purchase
        | Route::PlaceBatch
        | Route::CancelOrder
        | Route::OrderProcessed => orders::order(route),
        Route::ListProducts
        | Route::GetProduct
        | Route::CreateProduct
        | Route::ReplaceProduct
        | Route::PatchProduct
        | Route::ArchiveProduct => catalogue::product(route),
        Route::AdjustStock | Route::Ledger => catalogue::stock(route),
        Route::CreateHold | Route::GetHold | Route::ReleaseHold | Route::ExtendHold => {
            holds::hold(route)
        }
        Route::PaymentWebhook => holds::payment(route),
        Route::CreateUser | Route::GetUser => catalogue::user(route),
        Route::Events | Route::Socket => cluster::event(route),
        Route::AddMember | Route::RemoveMember | Route::TransferLeader => cluster::members(route),
        Route::Cluster
        | Route::TakeSnapshot
        | Route::Backup
        | Route::SetPayments
        | Route::Health
        | Route::Live
        | Route::Ready
        | Route::Metrics
        | Route::Test
        | Route::OpenApi
        | Route::Docs => cluster::node(route),
    }
}

impl Operation {
    fn new(route: Route, id: &'static str, tag: &'static str, summary: &'static str) -> Operation {
        let mut codes = BTreeSet::from([ErrorCode::MalformedRequest, ErrorCode::UriTooLong]);
        if route.answers_json() {
            codes.insert(ErrorCode::NotAcceptable);
        }
        if route.is_counted() {
            codes.insert(ErrorCode::TooManyRequests);
        }
        if route.reads_body() {
            codes.extend([
                ErrorCode::RequestTimeout,
                ErrorCode::PayloadTooLarge,
                ErrorCode::UnsupportedMediaType,
                ErrorCode::ValidationError,
            ]);
        }
        let (parameters, answers) = (Vec::new(), Vec::new());
        let (description, body) = ("", None);
        let word = None;
        Operation { route, id, tag, summary, description, parameters, body, answers, codes, word }
    }

    /// The groups of operations.
    pub(super) fn tags() -> Value {
        json!([
            {"name": ORDERS, "description": "Placing, reading and cancelling orders."},
            {"name": HOLDS, "description": "Units set aside until a deadline."},
            {"name": PAYMENTS, "description": "Where payment providers report to."},
            {"name": PRODUCTS, "description": "The catalogue and its stock."},
            {"name": USERS, "description": "Whom orders may name."},
            {"name": EVENTS, "description": "What happens, told as it happens."},
            {"name": CLUSTER, "description": "The nodes."},
            {"name": MONITORING, "description": "For monitors. Never limited by rate."},
            {"name": DOCUMENTS, "description": "This document."},
        ])
    }

    /// Every code that the route can answer.
    pub(super) fn codes(&self) -> &BTreeSet<ErrorCode> {
        &self.codes
    }

    fn text(mut self, text: &'static str) -> Operation {
        self.description = text;
        self
    }

    fn takes(mut self, parameters: &[&'static str]) -> Operation {
        self.parameters.extend(parameters);
        self
    }

    fn body(mut self, schema: &'static str, example: Value) -> Operation {
        self.body = Some(Body { schema, required: true, example, lines: None });
        self
    }

    fn optional_body(mut self, schema: &'static str, example: Value) -> Operation {
        self.body = Some(Body { schema, required: false, example, lines: None });
        self
    }

    /// The body may also be one object a line.
    fn or_lines(mut self, text: &'static str) -> Operation {
        self.body.as_mut().expect("a body that is an object comes first").lines = Some(text);
        self
    }

    fn refuses(mut self, codes: &[ErrorCode]) -> Operation {
        self.codes.extend(codes);
        self
    }

    fn says_instead(mut self, word: &'static str) -> Operation {
        self.word = Some(word);
        self
    }

    /// It goes through the log.
    fn writes(self) -> Operation {
        self.refuses(&[
            ErrorCode::NoLeader,
            ErrorCode::Overloaded,
            ErrorCode::StorageFull,
            ErrorCode::CommitTimeout,
        ])
    }

    /// It looks at the state, as fresh as the caller wants it.
    fn reads(self) -> Operation {
        self.takes(&READS).looks().refuses(&[ErrorCode::ValidationError])
    }

    /// It looks at the state.
    fn looks(self) -> Operation {
        self.refuses(&[
            ErrorCode::StaleRead,
            ErrorCode::Overloaded,
            ErrorCode::NoLeader,
            ErrorCode::InternalError,
        ])
    }

    fn answers(
        mut self,
        status: u16,
        text: &'static str,
        headers: &'static [&'static str],
        content: Option<(&'static str, Value)>,
    ) -> Operation {
        self.answers.push(Answer { status, text, headers, content });
        self
    }

    fn makes(self, text: &'static str, of: &str, example: Value) -> Operation {
        self.answers(201, text, &["ETag", "Location"], json_content(of, example))
    }

    fn replays(self, example: Value) -> Operation {
        let text = "The key had made this order before; this is the order as it is now.";
        let headers = &["ETag", "Idempotent-Replayed"];
        self.answers(200, text, headers, json_content("OrderAnswer", example))
    }

    /// It answers one row.
    fn shows(self, text: &'static str, of: &str, example: Value) -> Operation {
        let stale = self.parameters.contains(&READS[0]);
        let headers: &[_] = if stale { &["ETag", "X-Consistency"] } else { &["ETag"] };
        self.answers(200, text, headers, json_content(of, example))
    }

    /// It answers something without a version.
    fn lists(self, text: &'static str, of: &str, example: Value) -> Operation {
        let stale = self.parameters.contains(&READS[0]);
        let headers: &[_] = if stale { &["X-Consistency"] } else { &[] };
        self.answers(200, text, headers, json_content(of, example))
    }

    /// It answers the same shape whether all is well or not.
    fn states(self, of: &str, example: fn(HealthStatus) -> Value) -> Operation {
        self.answers(200, "It is.", &[], json_content(of, example(HealthStatus::Ok))).answers(
            503,
            "It is not.",
            &[],
            json_content(of, example(HealthStatus::Degraded)),
        )
    }

    /// The operation as the document has it.
    pub(super) fn describe(&self, id: &str) -> Value {
        let mut responses: Map<String, Value> = problems::by_status(&self.codes)
            .into_iter()
            .map(|(status, response)| (status.to_string(), response))
            .collect();
        if let Some(word) = self.word {
            responses.insert("400".to_owned(), problems::malformed_or(word));
        }
        let common: &[_] = if self.route.is_counted() { &COUNTED } else { &[] };
        for Answer { status, text, headers: own, content } in &self.answers {
            let names: Vec<&str> = [&ALWAYS[..], common, own].concat();
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
            "tags": [self.tag],
            "summary": self.summary,
            "description": self.description,
            "parameters": parameters,
            "responses": responses,
        });
        if let Some(Body { schema: of, required, example, lines }) = &self.body {
            let mut content = json!({wire::JSON: {"schema": schema(of), "example": example}});
            if let Some(text) = lines {
                let schema = json!({"type": "string", "description": text});
                content[wire::NDJSON] = json!({ "schema": schema });
            }
            operation["requestBody"] = json!({"required": required, "content": content});
        }
        if self.route == Route::Socket {
            operation["x-messages"] = super::events::messages();
        }
        operation
    }
}

fn json_content(of: &str, example: Value) -> Option<(&'static str, Value)> {
    Some((wire::JSON, json!({"schema": schema(of), "example": example})))
}

/// References to headers. What follows a dot in a name tells two descriptions of one header apart.
pub(super) fn headers(names: &[&str]) -> Value {
    let header = |name: &str| name.split('.').next().unwrap_or(name).to_owned();
    names
        .iter()
        .map(|name| (header(name), reference("headers", name)))
        .collect::<Map<_, _>>()
        .into()
}
