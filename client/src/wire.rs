//! The JSON bodies, header names and error codes of the REST API.
//!
//! This module owns how values are spelled on the wire, in both directions: every type
//! serialises and deserialises, so server and client share one definition. It does no I/O, it
//! validates no business rule and it computes nothing: amounts arrive here as finished text.
//!
//! Conventions that hold for every type:
//! - ids and counts are unsigned integers, ids start at 1;
//! - money is a decimal string with two places (`"999.99"`) with the integer in minor units
//!   beside it in a field that ends in `_minor`;
//! - times are RFC 3339 UTC strings;
//! - fields that a reader does not know are ignored, so either side may be the newer one.

mod batch;
mod cluster;
mod code;
mod decimal;
mod envelope;
mod event;
mod header;
mod health;
mod hold;
mod order;
mod patch;
mod problem;
mod product;
mod stock;
mod task;
mod user;
mod webhook;
mod word;

pub use batch::{BatchRequest, BatchResult, RefusedOrder};
pub use cluster::{
    Cluster, Founder, KnownIncarnation, Member, MemberAdded, MemberRequest, MemberRole,
    PaymentsRequest, Snapshot, TransferRequest,
};
pub use code::{ErrorCode, Outcome};
pub use envelope::{
    CursorMeta, Envelope, LedgerList, OrderAnswer, OrderList, PageMeta, ProductList,
};
pub use event::{Event, EventType, SocketFrame, SocketRequest};
pub use header::{
    CONSISTENCY, CONSISTENCY_STALE, IDEMPOTENCY_KEY, IDEMPOTENT_REPLAYED, JSON, MIN_POSITION,
    NDJSON, POSITION, PROBLEM_JSON, SIGNATURE, TRACE_ID,
};
pub use health::{Health, HealthStatus, Probe, ServiceState, Services, Test};
pub use hold::{ExtendRequest, Hold, HoldLine, HoldRequest, HoldStatus};
pub use order::{
    ByKey, CancelRequest, KeyState, Metadata, Order, OrderEvent, OrderLine, OrderLineRequest,
    OrderRequest, OrderStatus, PaymentMethod, PaymentStatus, PurchaseRequest, SagaStatus,
};
pub use patch::Patch;
pub use problem::Problem;
pub use product::{Product, ProductPatch, ProductRequest};
pub use stock::{
    Adjustment, AdjustmentRequest, LedgerCounters, LedgerDeltas, LedgerReference, LedgerRow,
};
pub use task::{TaskQueued, TaskRequest};
pub use user::{User, UserRequest};
pub use webhook::{PaymentResult, WebhookReceipt, WebhookRequest};
pub use word::UnknownWord;
