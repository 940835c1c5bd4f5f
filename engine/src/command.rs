//! The commands of the state machine, and their encoding.
//!
//! The edge validates shape and bounds and resolves every setting before it makes a command. Apply
//! decides only what depends on the state. Commands contain durations, never deadlines: apply adds
//! the replicated clock.

use bincode::{Decode, Encode};

use crate::actor::Actor;
use crate::adjustment::Change;
use crate::audit::Action;
use crate::auth::{Mode, Scopes};
use crate::codec::{self, Error};
use crate::ids::{
    HoldId, NodeId, OrderId, Position, ProductId, RefundId, RequestId, TokenId, UserId,
};
use crate::layout::{Added, Layout};
use crate::money::Money;
use crate::order::{Line, PaymentMethod};
use crate::refund::{self, Facts};
use crate::sale::{Sale, SaleChange};
use crate::secret::Secret;
use crate::trace::TraceId;
use crate::webhook::Report;

/// The version of envelopes written today: [`Layout::Third`].
pub const VERSION: u8 = 3;

/// The version of envelopes at level 0: [`Layout::First`].
const VERSION_AT_LEVEL_0: u8 = 1;

/// The version that builds of level 1 wrote first: [`Layout::First`].
const VERSION_BEFORE_LAYOUTS: u8 = 2;

/// Which rules decide what a command does: the cluster's level says it, and at level 0 the version
/// byte of the envelope. So a log that an earlier build wrote gives the same state for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rules {
    /// Level 0, version 1: a report of a payment waits for an order that does not exist yet, and
    /// decides it when it is placed. A report decides an order of any payment method.
    Parking,
    /// Level 1, or a version above 1: no report waits. Reports that still do decide nothing. A
    /// report decides only an order that waits for one.
    NoParking,
}

/// A command with the identity of its request. Its encoding is what travels and is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// The command is applied at most once under this id.
    pub request: RequestId,
    /// Follows the command into history, events and logs.
    pub trace: TraceId,
    /// Who asks.
    pub actor: Actor,
    /// The command itself.
    pub command: Command,
}

impl Envelope {
    /// Encodes the envelope for a cluster whose level is not below 1.
    pub fn encode(&self) -> Vec<u8> {
        self.encode_as(VERSION, Layout::Third)
    }

    /// Encodes the envelope for a cluster at this level, so that every build that may be in it
    /// reads it. A level that was raised meanwhile changes the rules, but never whether it can be
    /// read. At level 0 the actor and all fields that are [`Added`] are lost.
    pub fn encode_at(&self, level: u32) -> Vec<u8> {
        match level {
            0 => self.encode_as(VERSION_AT_LEVEL_0, Layout::First),
            _ => self.encode(),
        }
    }

    fn encode_as(&self, version: u8, layout: Layout) -> Vec<u8> {
        let mut out = Vec::with_capacity(128);
        out.push(version);
        codec::encode_as(layout, &(self.request, &self.trace), &mut out);
        if layout == Layout::Third {
            codec::encode_as(layout, &self.actor, &mut out);
        }
        codec::encode_as(layout, &self.command, &mut out);
        out
    }

    /// Decodes what [`Envelope::encode`] wrote, now or in an earlier build, with its rules.
    ///
    /// # Errors
    /// When the version is unknown or the bytes encode no envelope.
    pub fn decode(bytes: &[u8]) -> Result<(Rules, Envelope), Error> {
        let (rules, layout) = match bytes.first() {
            Some(&VERSION_AT_LEVEL_0) => (Rules::Parking, Layout::First),
            Some(&VERSION_BEFORE_LAYOUTS) => (Rules::NoParking, Layout::First),
            Some(&VERSION) => (Rules::NoParking, Layout::Third),
            Some(&found) => return Err(Error::UnknownVersion(found)),
            None => return Err(Error::Malformed("empty".into())),
        };
        let body = &bytes[1..];
        let (request, trace, actor, command) = match layout {
            Layout::First => {
                let (request, trace, command) = codec::decode_as(layout, body)?;
                (request, trace, Actor::default(), command)
            }
            Layout::Third => codec::decode_as(layout, body)?,
        };
        Ok((rules, Envelope { request, trace, actor, command }))
    }
}

/// All commands.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[bincode(decode_context = "Layout")]
pub enum Command {
    /// See [`PlaceOrder`].
    PlaceOrder(PlaceOrder),
    /// See [`PlaceBatch`].
    PlaceBatch(PlaceBatch),
    /// See [`CancelOrder`].
    CancelOrder(CancelOrder),
    /// See [`ClaimPayments`].
    ClaimPayments(ClaimPayments),
    /// See [`SettlePayments`].
    SettlePayments(SettlePayments),
    /// See [`FenceKey`].
    FenceKey(FenceKey),
    /// See [`PaymentWebhook`].
    PaymentWebhook(PaymentWebhook),
    /// See [`CreateHold`].
    CreateHold(CreateHold),
    /// See [`ReleaseHold`].
    ReleaseHold(ReleaseHold),
    /// See [`ExtendHold`].
    ExtendHold(ExtendHold),
    /// See [`CreateProduct`].
    CreateProduct(CreateProduct),
    /// See [`UpdateProduct`].
    UpdateProduct(UpdateProduct),
    /// See [`AdjustStock`].
    AdjustStock(AdjustStock),
    /// See [`ArchiveProduct`].
    ArchiveProduct(ArchiveProduct),
    /// See [`CreateUser`].
    CreateUser(CreateUser),
    /// Moves only the clock, so that deadlines pass on an idle cluster.
    Tick,
    /// See [`BeginCluster`].
    BeginCluster(BeginCluster),
    /// See [`SetPayments`].
    SetPayments(SetPayments),
    /// See [`RaiseLevel`].
    RaiseLevel(RaiseLevel),
    /// See [`SetAuth`].
    SetAuth(SetAuth),
    /// See [`CreateToken`].
    CreateToken(CreateToken),
    /// See [`RevokeToken`].
    RevokeToken(RevokeToken),
    /// See [`SettleOrder`].
    SettleOrder(SettleOrder),
    /// See [`RecheckPayment`].
    RecheckPayment(RecheckPayment),
    /// See [`RequestRefund`].
    RequestRefund(RequestRefund),
    /// See [`ClaimRefunds`].
    ClaimRefunds(ClaimRefunds),
    /// See [`SettleRefunds`].
    SettleRefunds(SettleRefunds),
    /// See [`Note`].
    Note(Note),
    /// See [`Keyed`].
    Keyed(Keyed),
}

impl Command {
    /// The level from which on a cluster may apply it. Nodes refuse it below: builds before that
    /// level cannot read it.
    pub fn level(&self) -> u32 {
        match self {
            Command::SetAuth(_) | Command::CreateToken(_) | Command::RevokeToken(_) => 1,
            Command::PlaceOrder(order) => order.level(),
            Command::PlaceBatch(batch) => {
                batch.orders.iter().map(PlaceOrder::level).max().unwrap_or(0)
            }
            Command::CreateProduct(product) => u32::from(!product.sale.is_default()),
            Command::UpdateProduct(product) => u32::from(!product.sale.is_default()),
            Command::SettleOrder(_)
            | Command::RecheckPayment(_)
            | Command::RequestRefund(_)
            | Command::ClaimRefunds(_)
            | Command::SettleRefunds(_)
            | Command::Note(_)
            | Command::Keyed(_) => 1,
            _ => 0,
        }
    }
}

impl Command {
    /// Whether it may add rows that stay in memory. Nodes that are short of memory refuse it. What
    /// ends, settles or administers what exists goes on.
    pub fn adds_rows(&self) -> bool {
        match self {
            Command::PlaceOrder(_)
            | Command::PlaceBatch(_)
            | Command::FenceKey(_)
            | Command::CreateHold(_)
            | Command::CreateProduct(_)
            | Command::AdjustStock(_)
            | Command::CreateUser(_) => true,
            Command::Keyed(keyed) => {
                matches!(
                    keyed.command,
                    KeyedCommand::CreateProduct(_) | KeyedCommand::CreateUser(_)
                )
            }
            Command::CancelOrder(_)
            | Command::ClaimPayments(_)
            | Command::SettlePayments(_)
            | Command::PaymentWebhook(_)
            | Command::ReleaseHold(_)
            | Command::ExtendHold(_)
            | Command::UpdateProduct(_)
            | Command::ArchiveProduct(_)
            | Command::Tick
            | Command::BeginCluster(_)
            | Command::SetPayments(_)
            | Command::RaiseLevel(_)
            | Command::SetAuth(_)
            | Command::CreateToken(_)
            | Command::RevokeToken(_)
            | Command::SettleOrder(_)
            | Command::RecheckPayment(_)
            | Command::RequestRefund(_)
            | Command::ClaimRefunds(_)
            | Command::SettleRefunds(_)
            | Command::Note(_) => false,
        }
    }
}

impl PlaceOrder {
    fn level(&self) -> u32 {
        let is_new = self.payment_method == PaymentMethod::Gateway || !self.terms.is_default();
        u32::from(is_new)
    }
}

/// Validate, price, reserve, create the order, record its key and its payment task: all or nothing.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[bincode(decode_context = "Layout")]
pub struct PlaceOrder {
    /// The customer. `None` means the user of the hold, if it has one. Another user than the hold's
    /// is refused.
    pub user: Option<UserId>,
    /// The active hold to consume. The order takes its lines.
    pub hold: Option<HoldId>,
    /// 1 to [`crate::order::LINES_MAX`] lines, each of 1 to [`crate::ids::Quantity::MAX`] units;
    /// empty with a hold. Lines of one product are summed before the check.
    pub lines: Vec<Line>,
    /// Who obtains the payment.
    pub payment_method: PaymentMethod,
    /// Idempotency key, 1 to 255 printable characters.
    pub key: Option<Box<str>>,
    /// Canonical JSON object, at most 4 KiB.
    pub metadata: Option<Box<str>>,
    /// Setting: attempts that may be declined before the order fails, at least 1.
    pub payment_attempts_max: u32,
    /// Setting: how long an order may wait for a webhook, in milliseconds.
    pub payment_deadline_ms: u64,
    /// Setting: refuse with `TooManyOpenOrders` when this many orders are already open. From level
    /// 1 on only those count whose payment method is `none` like this one's, or is not.
    pub open_orders_max: u64,
    /// Setting: refuse users that have no row.
    pub require_user: bool,
    /// What orders may say from level 1 on.
    pub terms: Added<OrderTerms>,
}

/// What orders may say from level 1 on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct OrderTerms {
    /// Refuse when the total differs. Two requests that differ only in this are the same request.
    pub expected_total: Option<Money>,
    /// The caller's name of the order: 1 to [`crate::order::REFERENCE_CHARS_MAX`] printable ASCII
    /// characters. No other order of the cluster ever gets it.
    pub reference: Option<Box<str>>,
}

/// The most orders of one [`PlaceBatch`].
pub const BATCH_ORDERS_MAX: usize = 1000;

/// The most lines of the orders of an atomic [`PlaceBatch`] together, those of holds included: so
/// many take some 20 ms to apply, and all other requests wait for them. It counts from level 1 on.
pub const BATCH_LINES_MAX: usize = 5_000;

/// Place many orders with one command.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[bincode(decode_context = "Layout")]
pub struct PlaceBatch {
    /// Place all or none; stock is checked for the sum of all orders, which have at most
    /// [`BATCH_LINES_MAX`] lines together. Otherwise each order is
    /// placed or refused as if it had come alone, in order.
    pub atomic: bool,
    /// 1 to [`BATCH_ORDERS_MAX`] orders.
    pub orders: Vec<PlaceOrder>,
}

/// Cancel a PENDING order and release its units. Cancelling again changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct CancelOrder {
    /// The order.
    pub order: OrderId,
    /// The customer's reason, at most 255 bytes.
    pub reason: Option<Box<str>>,
}

/// Claim due payment tasks for the worker of one node.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ClaimPayments {
    /// The node of the worker.
    pub node: NodeId,
    /// How long no other node may claim them, in milliseconds.
    pub lease_ms: u64,
    /// Orders, each with the attempt that the worker saw. Apply skips those that have moved on
    /// since.
    pub tasks: Vec<(OrderId, u32)>,
}

/// Results of payment attempts.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct SettlePayments {
    /// One result per attempt. Apply skips results of attempts that are over.
    pub results: Vec<PaymentResult>,
}

/// The result of one attempt.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct PaymentResult {
    /// The order.
    pub order: OrderId,
    /// The attempt.
    pub attempt: u32,
    /// The gateway's answer.
    pub verdict: Verdict,
}

/// The answer of a payment gateway.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Verdict {
    /// Charged.
    Succeeded,
    /// Definitely not charged. The next attempt, if one is left, is due after `retry_in_ms`.
    Declined {
        /// The gateway's reason, at most 255 bytes.
        reason: Box<str>,
        /// Back-off before the next attempt, in milliseconds.
        retry_in_ms: u64,
    },
    /// No definite answer. The same attempt is due again, under the same key, after `retry_in_ms`.
    NoAnswer {
        /// Back-off before the next try, in milliseconds.
        retry_in_ms: u64,
    },
}

/// Make sure that an idempotency key never makes an order, unless it has made one already. A later
/// request under the key is refused.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct FenceKey {
    /// The key, 1 to 255 printable characters.
    pub key: Box<str>,
}

/// The result of a payment, as a provider reports it. Recorded once per key, for ever.
///
/// It decides a PENDING order whose payment method is `webhook`, and no other. Under
/// [`Rules::Parking`] it decides an order of any payment method, and waits for one that does not
/// exist yet.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct PaymentWebhook {
    /// The provider's idempotency key, 1 to 255 printable characters.
    pub key: Box<str>,
    /// The order, at least 1.
    pub order: OrderId,
    /// The result of the payment.
    pub report: Report,
    /// The paid amount; must equal the order's total.
    pub amount: Option<Money>,
    /// Other data from the provider, at most [`crate::webhook::PAYLOAD_BYTES_MAX`] bytes of JSON.
    /// Stored, but not part of what the request means.
    pub payload: Option<Box<str>>,
    /// Setting, only for [`Rules::Parking`]: how long to wait for an order that does not exist yet,
    /// in milliseconds.
    pub park_ms: u64,
    /// Setting, only for [`Rules::Parking`]: refuse with `TooManyParked` when this many reports
    /// already wait.
    pub parked_max: u64,
}

/// Set units aside until a deadline, all lines or none.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[bincode(decode_context = "Layout")]
pub struct CreateHold {
    /// The customer.
    pub user: Option<UserId>,
    /// As in [`PlaceOrder::lines`].
    pub lines: Vec<Line>,
    /// The time to live, in milliseconds, at least 1. The meaning of the request includes it,
    /// unless the client left it to the server.
    pub ttl_ms: u64,
    /// Idempotency key, 1 to 255 printable characters.
    pub key: Option<Box<str>>,
    /// Setting: the longest life of a hold, extensions included, in milliseconds. A longer `ttl_ms`
    /// is shortened to it.
    pub ttl_max_ms: u64,
    /// Setting: refuse with `TooManyHolds` when this many holds are already active.
    pub active_holds_max: u64,
    /// Setting: refuse users that have no row.
    pub require_user: bool,
    /// Whether the client named no time to live, so that `ttl_ms` is a setting. At level 0 it
    /// counts as named.
    pub ttl_is_default: Added<bool>,
}

/// Release an active hold and return its units. Releasing again changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ReleaseHold {
    /// The hold.
    pub hold: HoldId,
}

/// Extend an active hold: until `ttl_ms` from now, but at most `ttl_max_ms` after its creation.
/// Never shortens it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ExtendHold {
    /// The hold.
    pub hold: HoldId,
    /// The new time to live from now on, in milliseconds, at least 1.
    pub ttl_ms: u64,
    /// Setting: the longest life of a hold, in milliseconds.
    pub ttl_max_ms: u64,
}

/// Create a product.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[bincode(decode_context = "Layout")]
pub struct CreateProduct {
    /// 1 to [`crate::product::NAME_BYTES_MAX`] bytes.
    pub name: Box<str>,
    /// At most [`crate::product::SKU_BYTES_MAX`] bytes, unique among products that are not
    /// archived.
    pub sku: Option<Box<str>>,
    /// 0 to [`Money::PRICE_MAX`].
    pub price: Money,
    /// Initial stock, 0 to [`crate::product::STOCK_MAX`].
    pub stock: i64,
    /// Limit per order, at least 1.
    pub max_per_order: Option<u32>,
    /// Limit per user over all orders and holds, at least 1. Open, held and paid units count, from
    /// the command that first sets a limit. Orders and holds without a user are refused.
    pub max_per_user: Option<u32>,
    /// Send an event when at most this many units are available.
    pub low_stock: Option<u32>,
    /// The rules of its sale.
    pub sale: Added<Sale>,
}

/// Replace or patch a product: `None` leaves a field as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[bincode(decode_context = "Layout")]
pub struct UpdateProduct {
    /// The product.
    pub product: ProductId,
    /// Refuse when the product has another version (`If-Match`).
    pub expected_version: Option<Position>,
    /// New name.
    pub name: Option<Box<str>>,
    /// New SKU, or none.
    pub sku: Option<Option<Box<str>>>,
    /// New price, for orders from now on.
    pub price: Option<Money>,
    /// New number of available units: `on_hand` becomes `stock + held + reserved`, so that held and
    /// reserved units stay.
    pub stock: Option<i64>,
    /// New limit per order, or none.
    pub max_per_order: Option<Option<u32>>,
    /// New limit per user, or none.
    pub max_per_user: Option<Option<u32>>,
    /// New threshold of low stock, or none.
    pub low_stock: Option<Option<u32>>,
    /// New rules of its sale.
    pub sale: Added<SaleChange>,
}

/// Add units to a product, or remove units that are neither held nor reserved.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct AdjustStock {
    /// The product.
    pub product: ProductId,
    /// The change.
    pub change: Change,
    /// Refuse when the number of available units differs.
    pub expected: Option<i64>,
    /// The reason, 1 to [`crate::order::REASON_BYTES_MAX`] bytes.
    pub reason: Box<str>,
    /// Idempotency key, 1 to 255 printable characters.
    pub key: Option<Box<str>>,
}

/// Archive a product: hide it from readers and new orders. Its open orders still settle.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ArchiveProduct {
    /// The product.
    pub product: ProductId,
    /// Refuse when the product has another version (`If-Match`).
    pub expected_version: Option<Position>,
}

/// Begin a new cluster with the rows of another one: the first entry after a backup was restored or
/// a cluster was forced. Forgets the applied request ids, since their senders are gone. Ends the
/// wait of payment reports for their orders: ids of orders that the copy does not have go to other
/// orders now.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct BeginCluster {
    /// Pause payments until [`SetPayments`] resumes them.
    pub pause_payments: bool,
}

/// Pause or resume payments. Results of calls in progress are recorded either way.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct SetPayments {
    /// Whether payments are paused.
    pub paused: bool,
}

/// Raise the cluster's level. A level that is reached already changes nothing. Only a leader
/// proposes it, when every member speaks the level; a build that does not know it stops here.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct RaiseLevel {
    /// The level, 1 to [`crate::level::NEWEST`].
    pub to: u32,
    /// Random bytes. The cluster uses those of its first raise.
    pub secret: Secret,
}

/// End a PROCESSING order whose payment has no definite result, by the decision of an operator who
/// knows what became of it. Repeating it changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct SettleOrder {
    /// The order.
    pub order: OrderId,
    /// The attempt that the operator looked at. Refused when another one is current.
    pub attempt: u32,
    /// How the order ends.
    pub outcome: Settlement,
    /// Why, 1 to [`crate::order::REASON_BYTES_MAX`] bytes.
    pub reason: Box<str>,
    /// Who decided, 1 to [`crate::order::REASON_BYTES_MAX`] bytes. A claim of the request.
    pub actor: Box<str>,
}

/// How an operator ends an order.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Settlement {
    /// The customer was charged.
    Paid {
        /// The payment at the provider, 1 to [`crate::order::REASON_BYTES_MAX`] bytes.
        reference: Box<str>,
    },
    /// The customer was not charged, and will not be.
    Failed,
}

/// Make the payment task of a PROCESSING order due at once.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct RecheckPayment {
    /// The order.
    pub order: OrderId,
    /// Refuse when another attempt is current.
    pub attempt: Option<u32>,
}

/// Give money of a PAID order back, and take units back.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct RequestRefund {
    /// The order.
    pub order: OrderId,
    /// What the edge has read of the order, which is final.
    pub facts: Facts,
    /// The amount, at least 1. Without one it is the price of the lines, as far as that is left, or
    /// without lines all that is left.
    pub amount: Option<Money>,
    /// The units that it is for.
    pub lines: Vec<refund::Line>,
    /// Why, 1 to [`crate::order::REASON_BYTES_MAX`] bytes.
    pub reason: Box<str>,
    /// Who decided, 1 to [`crate::order::REASON_BYTES_MAX`] bytes. A claim of the request.
    pub actor: Box<str>,
    /// Idempotency key, 1 to 255 printable characters.
    pub key: Option<Box<str>>,
    /// Setting: refuse with `TooManyRefunds` when this many refunds already wait for the gateway.
    pub refunds_open_max: u64,
}

/// Claim due refunds for the worker of one node.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ClaimRefunds {
    /// The node of the worker.
    pub node: NodeId,
    /// How long no other node may claim them, in milliseconds.
    pub lease_ms: u64,
    /// The refunds. Apply skips those that have moved on.
    pub refunds: Vec<RefundId>,
}

/// What the gateway says about refunds.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct SettleRefunds {
    /// One result per refund. Apply skips those of refunds that have ended.
    pub results: Vec<RefundResult>,
}

/// What the gateway says about one refund.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct RefundResult {
    /// The refund.
    pub refund: RefundId,
    /// The gateway's answer. A declined refund has failed.
    pub verdict: Verdict,
}

/// Create a user.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct CreateUser {
    /// 1 to [`crate::user::FIELD_BYTES_MAX`] bytes.
    pub name: Box<str>,
    /// 1 to [`crate::user::FIELD_BYTES_MAX`] bytes, unique.
    pub email: Box<str>,
}

/// Set whether requests need credentials.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct SetAuth {
    /// The mode from here on.
    pub mode: Mode,
}

/// Create a token. The log sees only the hash of its secret.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct CreateToken {
    /// SHA-256 of the secret.
    pub hash: [u8; 32],
    /// The name of its owner, 1 to [`crate::auth::OWNER_BYTES_MAX`] bytes.
    pub owner: Box<str>,
    /// The user whose rows it is limited to. Its scopes are then within [`Scopes::OF_USERS`].
    pub user: Option<UserId>,
    /// At least one.
    pub scopes: Scopes,
    /// At most [`crate::auth::LABEL_BYTES_MAX`] bytes.
    pub label: Box<str>,
    /// The time to live, in milliseconds, at least 1; `None` for no end.
    pub ttl_ms: Option<u64>,
}

/// Revoke a token, for good. Revoking again changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct RevokeToken {
    /// The token.
    pub token: TokenId,
}

/// Record what an operator did that is no command, such as a change of members. It changes nothing
/// else.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Note {
    /// What it was; see [`Action::is_told`].
    pub action: Action,
    /// The id of the member that it is about.
    pub target: Option<u64>,
}

/// Execute a command at most once under an idempotency key. For commands whose rows keep no key:
/// [`crate::keyed`] remembers the newest [`crate::keyed::KEPT_MAX`] of these keys.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[bincode(decode_context = "Layout")]
pub struct Keyed {
    /// Which key it is: a cryptographic hash of the operation, the user that its sender is limited
    /// to, and the key's text. So nobody can find two keys that are taken for one.
    pub name: u128,
    /// What the client asks for, hashed the same way. Another meaning under a used key is refused.
    pub meaning: u128,
    /// The command.
    pub command: KeyedCommand,
}

/// A command that may be [`Keyed`]. None contains another, so decoding has a bounded depth. Encoded
/// by number: new ones go to the end.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[bincode(decode_context = "Layout")]
pub enum KeyedCommand {
    /// See [`CancelOrder`].
    CancelOrder(CancelOrder),
    /// See [`ReleaseHold`].
    ReleaseHold(ReleaseHold),
    /// See [`ExtendHold`].
    ExtendHold(ExtendHold),
    /// See [`CreateProduct`].
    CreateProduct(CreateProduct),
    /// See [`UpdateProduct`].
    UpdateProduct(UpdateProduct),
    /// See [`ArchiveProduct`].
    ArchiveProduct(ArchiveProduct),
    /// See [`CreateUser`].
    CreateUser(CreateUser),
    /// See [`SettleOrder`].
    SettleOrder(SettleOrder),
    /// See [`RecheckPayment`].
    RecheckPayment(RecheckPayment),
    /// See [`SetAuth`].
    SetAuth(SetAuth),
    /// See [`RevokeToken`].
    RevokeToken(RevokeToken),
    /// See [`SetPayments`].
    SetPayments(SetPayments),
}

/// Conversions between a command and one that may be [`Keyed`].
macro_rules! keyed_commands {
    ($($name:ident),+ $(,)?) => {
        impl From<KeyedCommand> for Command {
            fn from(command: KeyedCommand) -> Command {
                match command {
                    $(KeyedCommand::$name(command) => Command::$name(command)),+
                }
            }
        }

        impl TryFrom<Command> for KeyedCommand {
            /// The command, which may not be [`Keyed`].
            type Error = Command;

            fn try_from(command: Command) -> Result<KeyedCommand, Command> {
                match command {
                    $(Command::$name(command) => Ok(KeyedCommand::$name(command)),)+
                    other => Err(other),
                }
            }
        }
    };
}

keyed_commands!(
    CancelOrder,
    ReleaseHold,
    ExtendHold,
    CreateProduct,
    UpdateProduct,
    ArchiveProduct,
    CreateUser,
    SettleOrder,
    RecheckPayment,
    SetAuth,
    RevokeToken,
    SetPayments,
);
