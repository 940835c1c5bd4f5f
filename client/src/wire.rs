//! The JSON bodies, header names and error codes of the REST API.
//!
//! This module defines how values are written on the wire, in both directions: every type
//! serialises and deserialises, so server and client share one definition. It does no I/O,
//! validates no business rule and computes nothing: amounts arrive here as finished text.
//!
//! Conventions for every type:
//! - ids and counts are unsigned integers; ids start at 1;
//! - money is a decimal string with two places (`"999.99"`), beside an integer in minor units in a
//!   field that ends in `_minor`;
//! - times are RFC 3339 UTC strings;
//! - readers ignore unknown fields, so the sender may be newer. An unknown word of an enumeration
//!   is an error.

mod audit;
mod auth;
mod batch;
mod cluster;
mod code;
mod decimal;
mod dry_run;
mod envelope;
mod event;
mod header;
mod health;
mod hold;
mod metadata;
mod order;
mod patch;
mod problem;
mod product;
mod refund;
mod settlement;
mod shortage;
mod stock;
mod task;
mod user;
mod webhook;
mod word;

pub use audit::{AuditKind, AuditOutcome, AuditRow};
pub use auth::{
    ActorKind, Auth, AuthMode, AuthRequest, NewToken, RevokedToken, Scope, Session, Token,
    TokenRequest,
};
pub use batch::{BatchRequest, BatchResult, RefusedOrder};
pub use cluster::{
    Cluster, Founder, KnownIncarnation, LevelRequest, Member, MemberAdded, MemberRequest,
    MemberRole, NodeState, PaymentsRequest, Snapshot, TransferRequest,
};
pub use code::{ErrorCode, Outcome};
pub use dry_run::{DryRun, Would, WouldOrder};
pub use envelope::{
    CursorMeta, Envelope, LedgerList, OrderAnswer, OrderList, PageMeta, ProductList,
};
pub use event::{Event, EventType, SocketFrame, SocketRequest};
pub use header::{
    CONSISTENCY, CONSISTENCY_STALE, HANDLING_STRICT, IDEMPOTENCY_KEY, IDEMPOTENT_REPLAYED, JSON,
    MERGE_PATCH, MIN_POSITION, NDJSON, POSITION, PREFER, PROBLEM_JSON, SIGNATURE, TRACE_ID,
};
pub use health::{
    Health, HealthStatus, LogFilter, LogFilterRequest, Probe, ServiceState, Services, Test,
};
pub use hold::{ExtendRequest, Hold, HoldLine, HoldList, HoldRequest, HoldStatus, PricedLine};
pub use metadata::Metadata;
pub use order::{
    ByKey, CancelRequest, KeyState, Order, OrderEvent, OrderLine, OrderLineRequest, OrderRequest,
    OrderStatus, PaymentMethod, PaymentStatus, PurchaseRequest, SagaStatus,
};
pub use patch::Patch;
pub use problem::Problem;
pub use product::{PerWindow, Product, ProductPatch, ProductRequest};
pub use refund::{OrderRefunds, Refund, RefundLine, RefundRequest, RefundStatus};
pub use settlement::{
    RecheckRequest, SettleOutcome, SettleRequest, UnsettledList, UnsettledPayment,
};
pub use shortage::Shortage;
pub use stock::{
    Adjustment, AdjustmentRequest, LedgerCounters, LedgerDeltas, LedgerReference, LedgerRow,
};
pub use task::{TaskQueued, TaskRequest};
pub use user::{User, UserRequest};
pub use webhook::{PaymentResult, WebhookConflict, WebhookReceipt, WebhookRequest, WebhookResult};
pub use word::UnknownWord;
