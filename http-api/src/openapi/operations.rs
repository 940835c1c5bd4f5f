//! One operation for each route.

mod holds;

use std::collections::BTreeSet;

use client::wire::{self, ErrorCode, HealthStatus, OrderStatus};
use hyper::StatusCode;
use serde_json::{Map, Value, json};

use super::parameters::{ALWAYS, COUNTED, EVERYWHERE, READS};
use super::schemas::schema;
use super::{examples, problems, reference};
use crate::events::stream;
use crate::handlers::tasks;
use crate::metrics;
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
        | Route::OrderProcessed => order(route),
        Route::ListProducts
        | Route::GetProduct
        | Route::CreateProduct
        | Route::ReplaceProduct
        | Route::PatchProduct
        | Route::ArchiveProduct => product(route),
        Route::AdjustStock | Route::Ledger => stock(route),
        Route::CreateHold | Route::GetHold | Route::ReleaseHold | Route::ExtendHold => {
            holds::hold(route)
        }
        Route::PaymentWebhook => holds::payment(route),
        Route::CreateUser | Route::GetUser => user(route),
        Route::Events | Route::Socket => event(route),
        Route::AddMember | Route::RemoveMember | Route::TransferLeader => members(route),
        Route::Cluster
        | Route::TakeSnapshot
        | Route::Health
        | Route::Live
        | Route::Ready
        | Route::Metrics
        | Route::Test
        | Route::OpenApi
        | Route::Docs => node(route),
    }
}

fn order(route: Route) -> Operation {
    let of = |id, summary| Operation::new(route, id, ORDERS, summary);
    let pending = || examples::order(OrderStatus::Pending);
    match route {
        Route::CreateOrder => of("placeOrder", "Place an order")
            .text(
                "Checks, prices and reserves all lines, creates the order, keeps its key and queues \
                 its payment: all or nothing, in one entry of the log. Or takes a hold over with \
                 `hold_id`, once: its units become the order's.",
            )
            .takes(&["IdempotencyKey"])
            .body("OrderRequest", examples::order_request())
            .makes("The order was placed.", "OrderAnswer", pending())
            .replays(pending())
            .writes()
            .refuses(PLACING)
            .refuses(&holds::ENDED),
        Route::Purchase => of("purchase", "Buy one product")
            .text("An order of one line. The answer shows the product after the sale.")
            .takes(&["IdempotencyKey"])
            .body("PurchaseRequest", examples::purchase_request())
            .makes("The order was placed.", "OrderAnswer", examples::purchase())
            .replays(examples::purchase())
            .writes()
            .refuses(PLACING),
        Route::PlaceBatch => of("placeOrders", "Place many orders")
            .text(
                "Up to 1,000 orders in one request of up to 16 MiB. Each has a result of its \
                 own, in their order, with the status that it would have had alone: one that is \
                 refused or cannot be read does not keep the others from being placed. With \
                 `atomic` all are placed in one entry of the log or none is: then what they ask \
                 of a product is added up, a refusal is 409 and `results` names every order at \
                 fault. Keys stand in the orders and work as they do alone, so repeating a \
                 batch whose orders all have keys is safe.",
            )
            .takes(&["Atomic"])
            .body("BatchRequest", examples::batch_request())
            .or_lines("The body of an order a line; blank lines count for nothing.")
            .lists("What became of each order.", "BatchAnswer", examples::batch())
            .writes()
            .refuses(PLACING)
            .refuses(&holds::ENDED)
            .refuses(&[ErrorCode::BatchRejected]),
        Route::FenceKey => of("fenceKey", "Close an idempotency key")
            .text(
                "A key that made no order never will: a request under it that is still on its way \
                 is refused with 409 `key_fenced`. A key that made one is answered with it. Asking \
                 again changes nothing. This is how to end the doubt after a lost answer.",
            )
            .takes(&["Key"])
            .lists("The key is fenced, or made this order.", "ByKeyAnswer", examples::fenced())
            .writes()
            .refuses(&[ErrorCode::IdempotencyKeyInvalid]),
        Route::CancelOrder => of("cancelOrder", "Cancel an order")
            .text(
                "Gives the units back, once. From PENDING only; cancelling a cancelled order again \
                 is a success that changes nothing. The body may be left out.",
            )
            .takes(&["OrderId"])
            .optional_body("CancelRequest", json!({"reason": "changed my mind"}))
            .shows("The order is cancelled.", "OrderAnswer", examples::order(OrderStatus::Cancelled))
            .writes()
            .refuses(&[ErrorCode::NotFound, ErrorCode::OrderNotCancellable]),
        Route::OrderProcessed => of("dispatchOrderTask", "Dispatch what follows an order")
            .text(
                "What follows an order is its payment, whose task is a part of the order and cannot \
                 get lost. So this checks that the order is there and writes a line to the log, \
                 `order.processed`; it changes nothing, and never pays twice.",
            )
            .body("TaskRequest", json!({"order_id": 7}))
            .answers(202, "It is dispatched.", &["ETag"], json_content("TaskQueued", examples::task()))
            .looks()
            .refuses(&[ErrorCode::NotFound])
            .says_instead(tasks::REQUIRED),
        Route::GetOrder => of("getOrder", "Read an order")
            .text("The order as it is now.")
            .takes(&["OrderId"])
            .reads()
            .shows("The order.", "OrderAnswer", pending())
            .refuses(&[ErrorCode::NotFound]),
        Route::OrderEvents => of("getOrderHistory", "Read the history of an order")
            .text("Every step that the order took, oldest first.")
            .takes(&["OrderId"])
            .reads()
            .lists("The steps.", "OrderHistory", examples::history())
            .refuses(&[ErrorCode::NotFound]),
        Route::OrderByKey => of("getOrderByKey", "Look an idempotency key up")
            .text(
                "Whether the key made an order, and which, or was fenced: what to ask after a lost \
                 answer.",
            )
            .takes(&["Key"])
            .reads()
            .lists("What is known about the key.", "ByKeyAnswer", examples::by_key())
            .refuses(&[ErrorCode::IdempotencyKeyInvalid]),
        _ => of("listOrders", "List orders")
            .text(
                "Newest first. By page number with totals, or by `cursor` and `limit` for walking \
                 through all of them. An empty parameter counts as left out.",
            )
            .takes(&["UserFilter", "StatusFilter", "ProductFilter", "Page", "PerPage"])
            .takes(&["OrderCursor", "OrderLimit"])
            .reads()
            .lists("A page of orders.", "OrderList", examples::order_list()),
    }
}

/// What placing an order can be refused with.
const PLACING: &[ErrorCode] = &[
    ErrorCode::NotFound,
    ErrorCode::InsufficientStock,
    ErrorCode::PurchaseLimitExceeded,
    ErrorCode::KeyFenced,
    ErrorCode::IdempotencyKeyInvalid,
    ErrorCode::IdempotencyKeyMismatch,
    ErrorCode::IdempotencyKeyReused,
];

fn product(route: Route) -> Operation {
    let of = |id, summary| Operation::new(route, id, PRODUCTS, summary);
    let changes = &[ErrorCode::NotFound, ErrorCode::VersionMismatch];
    match route {
        Route::GetProduct => of("getProduct", "Read a product")
            .text("The product and its counters. An archived product is gone: 404.")
            .takes(&["ProductId"])
            .reads()
            .shows("The product.", "ProductAnswer", examples::product())
            .refuses(&[ErrorCode::NotFound]),
        Route::CreateProduct => of("createProduct", "Create a product")
            .text("An archived product gives its `sku` free.")
            .body("ProductRequest", examples::product_request())
            .makes("The product was created.", "ProductAnswer", examples::product())
            .writes(),
        Route::ReplaceProduct => of("replaceProduct", "Replace a product")
            .text(
                "Optional fields that are left out are removed. `stock` sets what can be sold; \
                 reserved units come on top and are never erased.",
            )
            .takes(&["ProductId", "IfMatch"])
            .body("ProductRequest", examples::product_request())
            .shows("The product after the change.", "ProductAnswer", examples::product())
            .writes()
            .looks()
            .refuses(changes),
        Route::PatchProduct => of("patchProduct", "Change a product")
            .text("Fields that are left out stay as they are.")
            .takes(&["ProductId", "IfMatch"])
            .body("ProductPatch", json!({"price": "949.00", "stock": 60}))
            .shows("The product after the change.", "ProductAnswer", examples::product())
            .writes()
            .looks()
            .refuses(changes),
        Route::ArchiveProduct => of("archiveProduct", "Archive a product")
            .text(
                "Gone for readers and new orders; open orders still settle. Archiving an archived \
                 product again is a success that changes nothing.",
            )
            .takes(&["ProductId", "IfMatch"])
            .answers(204, "The product is archived.", &[], None)
            .writes()
            .looks()
            .refuses(changes),
        _ => of("listProducts", "List products")
            .text("By ascending id, archived ones left out.")
            .takes(&["Ids", "ProductCursor", "ProductLimit"])
            .reads()
            .lists("Products.", "ProductList", examples::product_list()),
    }
}

fn stock(route: Route) -> Operation {
    let of = |id, summary| Operation::new(route, id, PRODUCTS, summary);
    match route {
        Route::AdjustStock => of("adjustStock", "Adjust the stock of a product")
            .text(
                "Brings units in or takes units out that are neither held nor reserved, by `delta` \
                 or to `set` units that can be sold. With `expected` it is done only when so many \
                 can be sold before. The ledger keeps the reason.",
            )
            .takes(&["ProductId", "IdempotencyKey"])
            .body("AdjustmentRequest", examples::adjustment_request())
            .answers(
                201,
                "The stock was adjusted.",
                &[],
                json_content("AdjustmentAnswer", examples::adjustment()),
            )
            .answers(
                200,
                "The key had made this adjustment before; nothing was adjusted now.",
                &["Idempotent-Replayed"],
                json_content("AdjustmentAnswer", examples::adjustment()),
            )
            .writes()
            .refuses(&[
                ErrorCode::NotFound,
                ErrorCode::InsufficientStock,
                ErrorCode::StockMismatch,
                ErrorCode::IdempotencyKeyInvalid,
                ErrorCode::IdempotencyKeyMismatch,
                ErrorCode::IdempotencyKeyReused,
            ]),
        _ => of("getLedger", "Read the ledger of a product")
            .text(
                "Every movement of its units, oldest first: why, by how much each counter changed, \
                 and the counters after it. The deltas of all rows add up to the counters of the \
                 product. An archived product keeps its ledger.",
            )
            .takes(&["ProductId", "LedgerAfter", "LedgerLimit"])
            .reads()
            .lists("Rows of the ledger.", "LedgerList", examples::ledger())
            .refuses(&[ErrorCode::NotFound]),
    }
}

fn user(route: Route) -> Operation {
    let of = |id, summary| Operation::new(route, id, USERS, summary);
    match route {
        Route::CreateUser => of("createUser", "Create a user")
            .text("A name and an address that orders may refer to. Users never change.")
            .body("UserRequest", examples::user_request())
            .makes("The user was created.", "UserAnswer", examples::user())
            .writes()
            .refuses(&[ErrorCode::ValidationError]),
        _ => of("getUser", "Read a user")
            .text("The user.")
            .takes(&["UserId"])
            .reads()
            .shows("The user.", "UserAnswer", examples::user())
            .refuses(&[ErrorCode::NotFound]),
    }
}

fn event(route: Route) -> Operation {
    let of = |id, summary| Operation::new(route, id, EVENTS, summary);
    match route {
        Route::Events => of("streamEvents", "Follow what happens")
            .text(super::events::STREAM)
            .takes(&["EventUser", "EventProduct", "EventTypes", "After", "LastEventId"])
            .answers(200, "The stream.", &[], Some((stream::CONTENT_TYPE, super::events::stream())))
            .looks()
            .refuses(&[ErrorCode::ValidationError, ErrorCode::EventsGone]),
        _ => of("openSocket", "Follow the orders of users over a WebSocket")
            .text(super::events::SOCKET)
            .answers(101, "The WebSocket.", &["Upgrade", "Sec-WebSocket-Accept"], None)
            .refuses(&[ErrorCode::UpgradeRequired, ErrorCode::Overloaded]),
    }
}

fn members(route: Route) -> Operation {
    let of = |id, summary| Operation::new(route, id, CLUSTER, summary);
    match route {
        Route::AddMember => of("addMember", "Add a node")
            .text(
                "The node becomes a learner and gets its vote by itself once it has caught up. \
                 Asking again is safe. The node itself is started with `--join`, which asks this.",
            )
            .body("MemberRequest", examples::member_request())
            .lists("It is a member.", "MemberAddedAnswer", examples::member_added())
            .writes()
            .refuses(&[
                ErrorCode::ChangeInProgress,
                ErrorCode::QuorumAtRisk,
                ErrorCode::MemberConflict,
                ErrorCode::UnknownMember,
            ]),
        Route::RemoveMember => of("removeMember", "Remove a member for good")
            .text(
                "Its id is never used again. The leader hands leadership over before it is removed. \
                 Asking again is safe.",
            )
            .takes(&["MemberId"])
            .lists("It is no member any more.", "ClusterAnswer", examples::cluster())
            .writes()
            .refuses(&[
                ErrorCode::NotFound,
                ErrorCode::ChangeInProgress,
                ErrorCode::QuorumAtRisk,
                ErrorCode::MemberConflict,
                ErrorCode::UnknownMember,
                ErrorCode::CannotLead,
            ]),
        _ => of("transferLeader", "Hand leadership over")
            .text(
                "To the voter named, or to the best one. Writes wait meanwhile. The body may be \
                 left out.",
            )
            .optional_body("TransferRequest", json!({"to": 2}))
            .lists("It leads.", "ClusterAnswer", examples::cluster())
            .writes()
            .refuses(&[ErrorCode::UnknownMember, ErrorCode::CannotLead]),
    }
}

fn node(route: Route) -> Operation {
    let of = |id, tag, summary| Operation::new(route, id, tag, summary);
    let text = |kind| Some((kind, json!({"schema": {"type": "string"}})));
    match route {
        Route::Cluster => of("getCluster", CLUSTER, "Read the cluster")
            .text("The cluster as this node sees it, without a quorum too.")
            .lists("The cluster.", "ClusterAnswer", examples::cluster()),
        Route::TakeSnapshot => of("takeSnapshot", CLUSTER, "Take a snapshot")
            .text(
                "Of what this node has applied up to now, whether it leads or not; nodes take them \
                 by themselves as their logs grow. One that is there already will do. Needs no \
                 quorum and is safe to repeat.",
            )
            .lists("It is there.", "SnapshotAnswer", examples::snapshot())
            .refuses(&[ErrorCode::CommitTimeout, ErrorCode::NoLeader, ErrorCode::InternalError]),
        Route::Health => of("getHealth", MONITORING, "Whether the node is fit for work")
            .text("Storage, replication, quorum and worker of this node. Needs no quorum.")
            .states("Health", examples::health),
        Route::Live => of("getLiveness", MONITORING, "Whether the process answers")
            .text("That it answers is the answer.")
            .lists("It does.", "Probe", examples::probe(HealthStatus::Ok)),
        Route::Ready => of("getReadiness", MONITORING, "Whether to send requests here")
            .text(
                "Ready once a leader is known and the node has applied what was committed when it \
                 started.",
            )
            .states("Probe", examples::probe),
        Route::Metrics => of("getMetrics", MONITORING, "Read the metrics")
            .text(
                "In the format of OpenMetrics. Business counters are replicated: read them from one \
                 node, never add them up.",
            )
            .answers(200, "The metrics.", &[], text(metrics::CONTENT_TYPE))
            .refuses(&[ErrorCode::InternalError]),
        Route::OpenApi => of("getOpenApi", DOCUMENTS, "Read this document")
            .text("This document.")
            .answers(
                200,
                "The document.",
                &[],
                Some((wire::JSON, json!({"schema": {"type": "object"}}))),
            ),
        Route::Docs => of("getDocs", DOCUMENTS, "Read this document as a page")
            .text("The same for people. The page loads nothing else.")
            .answers(200, "The page.", &[], text(crate::docs::CONTENT_TYPE)),
        _ => of("getTest", MONITORING, "A friendly line")
            .text("Shows that the address is right.")
            .lists("The line.", "Test", examples::test()),
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
