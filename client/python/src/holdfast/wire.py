"""The JSON objects of the API, as `client/generate-types` writes them: do not edit.

A key that is not required may be absent. A newer server may send keys and words that are missing here.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Dict, List, Literal, Optional, TypedDict, Union

ActorKind = Literal["nobody", "root", "token", "customer"]
"""Who sent a request."""

AuditOutcome = Literal["done", "refused"]
"""What came of something that was asked for."""

AuthMode = Literal["off", "optional", "required"]
"""Whether requests need credentials. `off`: they count for nothing. `optional`: those that are given must be right. `required`: requests without any are refused."""

EventType = Literal["order.placed", "order.processing", "order.paid", "order.failed", "order.cancelled", "order.rejected", "hold.created", "hold.extended", "hold.consumed", "hold.expired", "hold.released", "product.created", "product.updated", "product.archived", "stock.adjusted", "stock.low", "stock.sold_out", "payment.conflict", "payment.unmatched", "payment.settled", "refund.requested", "refund.succeeded", "refund.failed"]
"""The type of an event."""

HealthStatus = Literal["ok", "degraded"]
"""Whether a node can work. `degraded` comes with 503."""

HoldStatus = Literal["active", "consumed", "expired", "released"]
"""The status of a hold: `active`, then `consumed` by one order, `expired` at its deadline, or `released`."""

KeyState = Literal["applied", "fenced", "unused"]
"""The state of an idempotency key. `applied`: it made an order. `fenced`: it can never make one. `unused`: neither."""

MemberRole = Literal["leader", "follower", "candidate", "learner", "unknown"]
"""The role of a member, as far as the answering node knows."""

OrderStatus = Literal["PENDING", "PROCESSING", "PAID", "FAILED", "CANCELLED"]
"""The status of an order: PENDING → PROCESSING → PAID or FAILED; PENDING → CANCELLED. Nothing else."""

Outcome = Literal["not_applied", "rejected", "unknown"]
"""Whether a request that failed may have taken effect. `not_applied`: it never entered the log. `rejected`: it was decided and has no effect. `unknown`: it may have taken effect, or may yet."""

PaymentMethod = Literal["mock", "webhook", "none", "gateway"]
"""Who decides whether an order is paid. `gateway`: the payment worker asks the gateway of the nodes; without one they refuse it. `mock`: the same, but only while that is the simulated gateway, which takes no money. `webhook`: a webhook brings the result, else the order is cancelled at its deadline. `none`: the order stays PENDING until it is cancelled."""

PaymentResult = Literal["success", "failure"]
"""The result of a payment."""

PaymentStatus = Literal["pending", "unsettled", "succeeded", "declined"]
"""The status of an order's payment. `unsettled`: the result of an attempt is unknown, and the payment worker asks for it again."""

RefundStatus = Literal["requested", "succeeded", "failed"]
"""The status of a refund."""

SagaStatus = Literal["RESERVED", "CONFIRMED", "CANCELLED"]
"""The same status in the words of older clients."""

Scope = Literal["catalog:read", "catalog:write", "stock:read", "stock:write", "orders:read", "orders:write", "users:read", "users:write", "events:read", "payments:webhook", "payments:admin", "tasks", "metrics:read", "cluster:read", "cluster:join", "cluster:admin", "backup", "auth:admin"]
"""A right that a token gives."""

ServiceState = Literal["ok", "standby", "down"]
"""The state of one part of a node. `standby`: it works, but another node does its work now."""

SettleOutcome = Literal["paid", "failed"]
"""How an operator ends an order."""

WebhookConflict = Literal["late", "under_way", "amount", "method"]
"""Why the result of a payment cannot be applied to its order."""

WebhookResult = Literal["applied", "duplicate", "conflict", "unmatched"]
"""What was done with the result of a payment."""


class _AdjustmentRequired(TypedDict):
    created_at: str
    """When it was made."""
    delta: int
    """Units that were added, or taken out when negative."""
    expected: Optional[int]
    """The stock that was expected; null for none."""
    id: int
    """The adjustment's id, from 1."""
    idempotency_key: Optional[str]
    """The key of the request, if any."""
    product_id: int
    """The product."""
    reason: str
    """Why."""
    set: Optional[int]
    """The stock that `set` asked for; null for a `delta`."""
    stock: int
    """Units that could be sold right after it."""
    trace_id: Optional[str]
    """Trace id of the request."""
    version: int
    """Its position in the log."""


class Adjustment(_AdjustmentRequired, total=False):
    """An adjustment of the stock of a product. It never changes."""

    product: Product
    """The product after the request; absent when it is archived."""


class _AdjustmentRequestRequired(TypedDict):
    reason: str
    """Why; the ledger shows it. At most 255 bytes of UTF-8, not blank, no control
    characters."""


class AdjustmentRequest(_AdjustmentRequestRequired, total=False):
    """The body of `POST /products/{id}/adjustments`: exactly one of `delta` and `set`."""

    delta: Optional[int]
    """Units to add, or to take out when negative; not 0."""
    expected: Optional[int]
    """Units that must be for sale before, else the answer is 409 `stock_mismatch`."""
    idempotency_key: Optional[str]
    """Makes retries safe: 1 to 255 printable characters."""
    set: Optional[int]
    """Units that can be sold afterwards. Reserved and held units are on top."""


class _AuditRowRequired(TypedDict):
    action: str
    """What for, such as `token.create`. Further actions may come."""
    actor: str
    """Who asked: `nobody`, `node`, or the kind and id of their credentials, such as `token:17`,
    `root:1` (with the node) and `customer:7` (with the user)."""
    at: str
    """When it was, by the cluster's clock."""
    id: int
    """Its id, dense within its kind, from 1."""
    outcome: AuditOutcome
    """What came of it."""
    position: int
    """The place of the command in the log."""
    trace_id: str
    """The trace id of the request."""


class AuditRow(_AuditRowRequired, total=False):
    """One row of the audit."""

    target: int
    """The id of the token, order, product or member, or the level, that it is about."""


class Auth(TypedDict):
    """Whether requests need credentials."""

    here: AuthMode
    """The mode of the node that answered: one with a root token treats `off` as `required`."""
    mode: AuthMode
    """The mode of the cluster."""
    tokens: int
    """How many tokens there are, those that have expired included."""


class AuthRequest(TypedDict):
    """The body of `PUT /auth/mode`."""

    mode: AuthMode
    """The mode from here on."""


class _BatchRequestRequired(TypedDict):
    orders: List[OrderRequest]
    """The orders, 1 to 1,000, each with its own idempotency key, if any."""


class BatchRequest(_BatchRequestRequired, total=False):
    """The body of `POST /orders/batch`."""

    atomic: Optional[bool]
    """Place all orders or none. Otherwise each order is placed or refused on its own."""


class _BatchResultRequired(TypedDict):
    index: int
    """The place of the order in the request, from 0."""
    status: int
    """The HTTP status that the order would have had on its own: 201 when it was placed, 200
    when its key had placed it before."""


class BatchResult(_BatchResultRequired, total=False):
    """The result of one order of a batch: the order, or an error."""

    error: str
    """The error code; absent when there is an order, as are all fields of the error."""
    error_code: str
    """The error code in capitals."""
    errors: Dict[str, List[str]]
    """For `validation_error`: what is wrong, by field."""
    message: str
    """What went wrong."""
    opens_at: str
    """For `sale_not_open`: when the sale opens."""
    order: Order
    """The order right after the batch; absent when there is an error."""
    outcome: Outcome
    """Whether the order may have taken effect."""
    retry_after_ms: int
    """For `sale_not_open`: milliseconds until the sale opens."""
    retryable: bool
    """Whether the same order may succeed when it is sent again later."""
    shortages: List[Shortage]
    """For `insufficient_stock`: every product that is short, in the order of the lines."""


class _ByKeyRequired(TypedDict):
    state: KeyState
    """The state of the key."""


class ByKey(_ByKeyRequired, total=False):
    """The state of an idempotency key, and its order."""

    order: Order
    """The order that the key made; absent unless `state` is `applied`."""


class CancelRequest(TypedDict, total=False):
    """The optional body of `POST /orders/{id}/cancel`."""

    reason: Optional[str]
    """Why; kept in the order's history. At most 255 bytes of UTF-8, not blank, no control
    characters."""


class Cluster(TypedDict):
    """The cluster as the answering node sees it, without a quorum."""

    applied_index: int
    """Last log index that the node has applied."""
    cluster_id: str
    """The cluster's id."""
    commit_index: int
    """Last log index that the node knows to be committed."""
    digest: str
    """Digest of the state at `applied_index`; equal on every node."""
    insecure: List[str]
    """What of the answering node is open to everybody who reaches it: `http`, `peers`, or
    `peers_migrate` while links without TLS are taken too."""
    leader_id: Optional[int]
    """The leader; null when the node knows none."""
    level: int
    """The level whose rules the cluster uses, as of `applied_index`."""
    level_newest: int
    """The newest level that the node speaks."""
    log_entries_left: Optional[int]
    """How many more entries the log can take in the cluster's life; null from a node that does
    not say."""
    members: List[Member]
    """All members, by ascending id."""
    next_member_id: int
    """The lowest id above all ids that members have or had."""
    node: Optional[NodeState]
    """The process that answers; null from a node that does not say."""
    node_id: int
    """The node that answers."""
    payments_paused: bool
    """Whether payments wait until they are resumed."""
    rebuilt_from: Optional[int]
    """The member whose data this node had before the data was damaged and the node was rebuilt
    as a new member; null when that never happened."""
    term: int
    """The node's term."""
    unsafe_settings: List[str]
    """Settings of the answering node that are only for trials, as flags of `serve`."""
    warnings: List[str]
    """What an operator should look at, as sentences; the node still works."""


class _CreatedTokenRequired(TypedDict):
    id: int
    """Its id, from 1."""
    token: str
    """The token itself, for `Authorization: Bearer`. Nobody can read it again: the cluster
    keeps a hash."""


class CreatedToken(_CreatedTokenRequired, total=False):
    """A token that was just created."""

    expires_at: str
    """From then on it counts for nothing."""


class CursorMeta(TypedDict):
    """Where the next page of a list begins."""

    has_more: bool
    """Whether more rows follow."""
    next_cursor: Optional[str]
    """Send this as the cursor (in a ledger as `after`) to get the next page; null on the last
    page."""


class _EventRequired(TypedDict):
    id: str
    """Its id, `<position>.<n>`: the same on every node, ascending, and what `after` takes."""
    timestamp: str
    """When, on the cluster's clock."""
    trace_id: str
    """Trace id of the request behind it."""
    type: EventType
    """Its type."""


class Event(_EventRequired, total=False):
    """One thing that happened. Its type says which fields are there; the others are absent."""

    actor: str
    """Who decided, as the request said."""
    adjustment_id: int
    """The adjustment."""
    amount: str
    """Its amount, if it gave one."""
    amount_minor: int
    """The same in hundredths."""
    attempt: int
    """The payment attempt."""
    available_stock: int
    """Units that can be sold."""
    cancelled_at: str
    """When the order was cancelled."""
    delta: int
    """Units that were added, or taken out when negative."""
    expires_at: str
    """Its deadline."""
    hold_id: int
    """The hold."""
    items: List[OrderLineRequest]
    """What it holds."""
    low_stock_threshold: int
    """The number of units at which `stock.low` is sent."""
    name: str
    """The name that clients of the older systems use."""
    order_id: int
    """The order."""
    product_id: int
    """The product."""
    product_ids: List[int]
    """The products that the order names, each once."""
    provider_ref: str
    """The payment at the provider."""
    reason: str
    """Why an order failed or was cancelled, or why an operator decided so; for
    `payment.conflict`: `late`, `under_way`, `amount` or `method`."""
    refund_id: int
    """The refund."""
    result: str
    """The payment's result."""
    saga_status: SagaStatus
    """The same in the words of older clients."""
    status: OrderStatus
    """The status that the order entered."""
    total_amount: str
    """The order's total."""
    total_amount_minor: int
    """The same in hundredths."""
    user_id: int
    """The user of the order or hold."""
    webhook_id: int
    """The payment result."""


class ExtendRequest(TypedDict):
    """The body of `POST /holds/{id}/extend`."""

    ttl_seconds: int
    """For how many seconds from now, at least 1. A hold lives at most as long as the server
    allows (3,600 seconds unless set otherwise), and an extension never shortens it."""


class Founder(TypedDict):
    """A node that founded the cluster."""

    http_addr: Optional[str]
    """Where clients reached it; null when it never said so."""
    id: int
    """Its id."""
    raft_addr: str
    """Where its peers reached it."""


class Health(TypedDict):
    """The body of `GET /health`, with status 200 or 503."""

    leader_id: Optional[int]
    """The leader as the node knows it; null when it knows none."""
    node_id: int
    """The node that answers."""
    services: Services
    """The parts behind that judgement."""
    status: HealthStatus
    """Whether the node is fit for work."""
    timestamp: str
    """When the node answered, on its own clock."""
    warnings: List[str]
    """What an operator should look at, as sentences; the node still works."""


class _HoldRequired(TypedDict):
    created_at: str
    """When the hold was made."""
    expires_at: str
    """From this time on the hold cannot be used."""
    hold_id: int
    """The same as `id`."""
    id: int
    """The hold's id, from 1."""
    idempotency_key: Optional[str]
    """The key that made the hold, if any."""
    items: List[HoldLine]
    """The lines, 1 to 100, in the order in which they were sent."""
    order_id: Optional[int]
    """The order that took it over; null otherwise."""
    status: HoldStatus
    """The hold's status."""
    trace_id: Optional[str]
    """Trace id of the request that made the hold."""
    updated_at: str
    """When the hold last changed."""
    user_id: Optional[int]
    """The user it is for; null when the request named none."""
    version: int
    """Position of the hold's last change, also its `ETag`."""


class Hold(_HoldRequired, total=False):
    """A hold as it is at one position."""

    product_id: int
    """The product of a hold with exactly one line; absent otherwise."""
    qty: int
    """The same as `quantity`, in the word of older clients."""
    quantity: int
    """The quantity of a hold with exactly one line; absent otherwise."""
    total_amount: str
    """Sum of the lines as decimal text, if they have prices."""


class _HoldLineRequired(TypedDict):
    product_id: int
    """What is held."""
    quantity: int
    """How many, 1 to 1,000,000."""


class HoldLine(_HoldLineRequired, total=False):
    """One line of a hold."""

    unit_price: str
    """Price of one as decimal text when the hold was made, which its order pays. Absent in
    holds of a cluster at level 0: their orders pay the price of their moment."""


class HoldRequest(TypedDict, total=False):
    """The body of `POST /holds`: either `items`, or `product_id` with `quantity` or `qty`."""

    idempotency_key: Optional[str]
    """Makes retries safe: 1 to 255 printable characters."""
    items: Optional[List[OrderLineRequest]]
    """What to hold: 1 to 100 lines. Lines with the same product are added up before the
    check."""
    product_id: Optional[int]
    qty: Optional[int]
    quantity: Optional[int]
    ttl_seconds: Optional[int]
    """For how many seconds, at least 1: 120 by default, at most what the server allows (3,600
    unless set otherwise)."""
    user_id: Optional[int]
    """The user it is for; an order from the hold belongs to them."""


class KnownIncarnation(TypedDict):
    """The data directory that is known under an id."""

    id: int
    """The id."""
    incarnation: str
    """The random number of the directory, 16 hexadecimal digits."""


class LedgerCounters(TypedDict):
    """The counters of a product."""

    held: int
    """Units in active holds."""
    on_hand: int
    """Units in the house."""
    reserved: int
    """Units in open orders."""
    sold: int
    """Units in paid orders."""
    stock: int
    """Units that can be sold."""


class LedgerDeltas(TypedDict):
    """Changes of the counters of a product."""

    held: int
    """Of the units in active holds."""
    on_hand: int
    """Of the units in the house."""
    reserved: int
    """Of the units in open orders."""
    sold: int
    """Of the units in paid orders."""
    stock: int
    """Of the units that can be sold."""


class LedgerReference(TypedDict):
    """What moved units."""

    id: int
    """Its id."""
    type: str
    """`order`, `hold`, `adjustment` or `refund`."""


class LedgerRow(TypedDict):
    """One movement of units."""

    cause: str
    """Why the units moved: `created`, `order`, `sale`, `release`, `cancel`, `adjustment`,
    `hold`, `hold_consume`, `hold_release`, `hold_expire` or `return`."""
    counters: LedgerCounters
    """The counters after the movement."""
    deltas: LedgerDeltas
    """By how much each counter changed."""
    index: int
    """Position of the movement in the log."""
    line: int
    """Number of the row among those of the same position, from 0."""
    reason: Optional[str]
    """The reason of an adjustment; null otherwise."""
    reference: Optional[LedgerReference]
    """What moved them; null for the creation of the product."""
    time: str
    """When, on the replicated clock."""


class LevelRequest(TypedDict, total=False):
    """The body of `POST /cluster/level`."""

    to: Optional[int]
    """The level, from 1; the newest that the answering node speaks by default."""


class LogFilter(TypedDict):
    """The filter of a node's log lines."""

    configured: str
    """The filter that the node was started with."""
    filter: str
    """The filter that is in effect."""
    seconds_left: Optional[int]
    """When the configured filter comes back, in seconds; null if it is in effect."""


class LogFilterRequest(TypedDict, total=False):
    """The body of `PUT /admin/log-filter`. Without a filter, the configured one comes back."""

    filter: Optional[str]
    """Levels by module, as in `info,raft_node=debug`. At most 1024 bytes."""
    seconds: Optional[int]
    """After how many seconds the configured filter comes back, 1 to 3600; 600 by default."""


class Member(TypedDict):
    """One member of the cluster."""

    healthy: bool
    """Whether the answering node has heard from it lately; true for itself."""
    http_addr: Optional[str]
    """Where clients reach it; null when it never said so."""
    id: int
    """The member's id, from 1."""
    lag: Optional[int]
    """Entries that the member is behind the leader; null unless the leader answers."""
    last_contact_ms: Optional[int]
    """Milliseconds since the answering node heard from it; null for itself, and if it never
    did."""
    level_newest: Optional[int]
    """The newest level that it speaks; null while the answering node does not know."""
    match_index: Optional[int]
    """Last log index known to be on the member; null unless the leader answers."""
    raft_addr: str
    """Where its peers reach it."""
    replaces: Optional[int]
    """The member whose place a learner takes when it gets its vote, if any."""
    role: MemberRole
    """Its role."""
    uptime_seconds: Optional[int]
    """Seconds since it started; null unless it answers itself."""
    version: Optional[str]
    """The version of its program; null unless it answers itself."""


class MemberAdded(TypedDict):
    """What a joining node has to know."""

    cluster_id: str
    """The cluster's id."""
    cluster_name: str
    """The cluster's name."""
    founders: List[Founder]
    """The nodes that founded it."""
    incarnations: List[KnownIncarnation]
    """The data directories that the answering node knows."""
    members: List[Member]
    """All members now, by ascending id."""


class _MemberRequestRequired(TypedDict):
    id: int
    """Its id: one that no member has or ever had."""
    raft_addr: str
    """Where its peers reach it: HOST:PORT, at most 255 bytes."""


class MemberRequest(_MemberRequestRequired, total=False):
    """The body of `POST /cluster/members`: a node that is to join."""

    http_addr: Optional[str]
    """Where clients reach it: HOST:PORT, at most 255 bytes."""
    incarnation: Optional[str]
    """The random number of its data directory, 16 hexadecimal digits, which `--join` sends.
    Without it, the first directory that is met under the id counts."""
    replaces: Optional[int]
    """The member whose place it takes: that one leaves in the step in which this one gets its
    vote."""
    speaks: Optional[int]
    """The highest level that its build speaks, which `--join` sends; 0 by default. A cluster at
    a higher level refuses the node."""


class NodeState(TypedDict):
    """The process of the answering node, and how much room it has left."""

    disk_free_bytes: int
    """Free bytes on the disk of its data directory."""
    disk_reserve_bytes: Optional[int]
    """It refuses writes while less than this is free; null from a node that does not say."""
    files_max: Optional[int]
    """How many it may have; null without a limit, or if the system does not say."""
    files_open: Optional[int]
    """Open files and connections; null if the system does not say."""
    memory_bytes: Optional[int]
    """Memory that it uses, in bytes; null if the system does not say."""
    memory_limit_bytes: Optional[int]
    """How much it may use: the limit of its control group, else the memory of the machine; null
    if the system does not say."""
    uptime_seconds: int
    """Seconds since it started."""
    version: str
    """The version of its program."""


class _OrderRequired(TypedDict):
    cancelled_at: Optional[str]
    """When the order was cancelled; null otherwise."""
    created_at: str
    """When the order was placed."""
    failure_reason: Optional[str]
    """Why the order is FAILED, or CANCELLED when its payment timed out or a reason was given;
    else null."""
    hold_id: Optional[int]
    """The hold that the order was made from, if any."""
    id: int
    """The order's id, from 1."""
    idempotency_key: Optional[str]
    """The key that made the order, if any."""
    items: List[OrderLine]
    """The lines, 1 to 100, in the order in which they were sent."""
    metadata: Optional[Dict[str, Any]]
    """What the caller attached; null for nothing."""
    order_id: int
    """The same as `id`."""
    payment_method: PaymentMethod
    """Who decides about the payment."""
    payment_status: Optional[PaymentStatus]
    """The payment's status; null when the order ended without a payment."""
    saga_status: SagaStatus
    """The same in the words of older clients."""
    status: OrderStatus
    """The order's status."""
    total_amount: str
    """Sum of the lines as decimal text."""
    total_amount_minor: int
    """Sum of the lines in minor units."""
    total_price: str
    """The same as `total_amount`."""
    trace_id: Optional[str]
    """Trace id of the request that placed the order."""
    updated_at: str
    """When the order last changed."""
    user_id: Optional[int]
    """The user who ordered; null when the order names none."""
    version: int
    """Position of the order's last change, also its `ETag`."""


class Order(_OrderRequired, total=False):
    """An order as it is at one position."""

    client_reference: str
    """The caller's name of the order; absent when the request gave none."""
    product: Product
    """The product after the sale, in the answer to a purchase only."""
    product_id: int
    """The product of an order with exactly one line; absent otherwise."""
    quantity: int
    """The quantity of an order with exactly one line; absent otherwise."""

OrderEvent = TypedDict(
    "OrderEvent",
    {
        "cause": "str",
        "from": "Optional[OrderStatus]",
        "index": "int",
        "reason": "Optional[str]",
        "time": "str",
        "to": "OrderStatus",
        "trace_id": "Optional[str]",
    },
)
"""One step in the history of an order."""


class OrderLine(TypedDict):
    """One line of an order, priced when the order was placed."""

    id: int
    """Number of the line in its order, from 1."""
    line_total: str
    """Price of the line as decimal text."""
    order_id: int
    """The order that the line belongs to."""
    product_id: int
    """What was ordered."""
    quantity: int
    """How many, 1 to 1,000,000."""
    unit_price: str
    """Price of one as decimal text."""
    unit_price_minor: int
    """Price of one in minor units."""


class OrderLineRequest(TypedDict):
    """One line that a request asks for."""

    product_id: int
    """What is ordered."""
    quantity: int
    """How many, 1 to 1,000,000."""


class OrderRefunds(TypedDict):
    """The refunds of an order."""

    order_id: int
    """The order."""
    refunded: str
    """What customers got or get back, by refunds that have not failed."""
    refunded_minor: int
    """The same in hundredths."""
    refunds: List[Refund]
    """The refunds, oldest first."""


class OrderRequest(TypedDict, total=False):
    """The body of `POST /orders`: either `items` or `hold_id`."""

    client_reference: Optional[str]
    """Your name of the order, such as the number of a cart: 1 to 64 printable ASCII characters.
    No other order of the cluster may have it, also when this one has failed or is cancelled."""
    expected_total: Optional[Union[str, Union[int, Decimal]]]
    """Refuse the order when its total differs: decimal text with at most two places; a JSON
    number is read too."""
    hold_id: Optional[int]
    """The hold to turn into an order, instead of `items`."""
    idempotency_key: Optional[str]
    """Makes retries safe: 1 to 255 printable characters."""
    items: Optional[List[OrderLineRequest]]
    """What is ordered, instead of `hold_id`: 1 to 100 lines. Lines with the same product are
    added up before the check."""
    metadata: Optional[Dict[str, Any]]
    """Free data to keep with the order."""
    payment_method: Optional[PaymentMethod]
    """Who decides about the payment. By default `webhook` for an order from a hold and where
    nodes have no payment gateway, else `mock`."""
    user_id: Optional[int]
    """Who orders."""


class PageMeta(TypedDict):
    """Where a page of orders stands in the whole list."""

    current_page: Optional[int]
    """Number of this page, from 1; null for a list by cursor."""
    has_more: bool
    """Whether more orders follow."""
    last_page: Optional[int]
    """Number of the last page, at least 1; null for a list by cursor."""
    next_cursor: Optional[str]
    """Send this as the cursor (in a ledger as `after`) to get the next page; null on the last
    page."""
    per_page: int
    """Most orders on one page: `per_page` (at most 50) or `limit` (at most 1,000)."""
    total: Optional[int]
    """Orders that match the filters; null for a list by cursor."""


class PaymentsRequest(TypedDict):
    """The body of `POST /cluster/payments`."""

    paused: bool
    """Whether payments wait."""


class PerWindow(TypedDict):
    """At most this many units of one user in this many days."""

    days: int
    """The window in days of 24 hours, 1 to 366. Units count until their window has passed."""
    units: int
    """The most units."""


class PricedLine(TypedDict):
    """A line with its price."""

    product_id: int
    """The product."""
    quantity: int
    """How many, 1 to 1,000,000."""
    unit_price: str
    """Price of one as decimal text."""


class _ProbeRequired(TypedDict):
    status: HealthStatus
    """`ok` with 200, `degraded` with 503."""


class Probe(_ProbeRequired, total=False):
    """The body of `GET /livez` and `GET /readyz`, with status 200 or 503."""

    reason: str
    """Why not, in words; absent with 200."""


class _ProblemRequired(TypedDict):
    detail: str
    """What went wrong, with which value, and what to do."""
    error: str
    """The error code."""
    error_code: str
    """The error code in capitals."""
    errors: Optional[Dict[str, List[str]]]
    """For `validation_error`: what is wrong, by field; null otherwise."""
    message: str
    """The same as `detail`."""
    outcome: Outcome
    """Whether the request may have taken effect."""
    retryable: bool
    """Whether the same request may succeed when it is sent again later."""
    status: int
    """The HTTP status."""
    success: bool
    """Always `false`."""
    title: str
    """The kind of problem."""
    trace_id: str
    """The same as `X-Trace-Id`. The server's log has more under this id."""
    type: str
    """Path that names the kind of problem, such as `/problems/insufficient-stock`."""


class Problem(_ProblemRequired, total=False):
    """Every error, in the shape of RFC 9457."""

    actual: str
    """For `total_mismatch`: the total that the order would have."""
    allowed_at: str
    """For `purchase_limit_exceeded` by a limit within a window: when enough units of the user
    stop counting. Absent when the request exceeds the limit by itself."""
    clock: str
    """For `sale_not_open`: the replicated clock at the refusal."""
    expected: str
    """For `total_mismatch`: the total that the request expected."""
    items: List[PricedLine]
    """For `total_mismatch`: the lines with their prices."""
    opens_at: str
    """For `sale_not_open`: when the sale opens."""
    order_id: int
    """For `hold_consumed`: the order that the hold became. For `reference_taken`: the order
    that has the reference, if the caller may know it."""
    results: List[RefusedOrder]
    """For an atomic batch: every order because of which it was refused; absent otherwise."""
    retry_after: int
    """Seconds to wait before a retry; absent when no wait is suggested."""
    retry_after_ms: int
    """For `sale_not_open`: milliseconds until the sale opens."""
    shortages: List[Shortage]
    """For `insufficient_stock` of an order or a hold: every product that is short, in the order
    of the lines; absent otherwise."""


class _ProductRequired(TypedDict):
    available_stock: int
    """The same as `stock`."""
    created_at: str
    """When the product was created."""
    held: int
    """Units in active holds."""
    id: int
    """The product's id, from 1."""
    low_stock_threshold: Optional[int]
    """The event `stock.low` is sent when the units that can be sold fall to this number; null
    for none."""
    max_per_order: Optional[int]
    """Most units in one order; null when unlimited."""
    max_per_user: Optional[int]
    """Most units for one user over all orders; null when unlimited."""
    name: str
    """Its name."""
    on_hand: int
    """Units in the house, held and reserved ones included."""
    price: str
    """Price of one as decimal text, at most `"99999999.99"`."""
    price_minor: int
    """Price of one in minor units."""
    reserved: int
    """Units in open orders."""
    sku: Optional[str]
    """The caller's own identifier of the product, if any."""
    sold: int
    """Units in paid orders."""
    stock: int
    """Units that can be sold."""
    total_stock: int
    """Units on hand and units sold."""
    updated_at: str
    """When the product or one of its counters last changed."""
    version: int
    """Position of the last change, also the `ETag`."""


class Product(_ProductRequired, total=False):
    """A product and its counters at one position. `stock + held + reserved = on_hand` and `on_hand + sold = total_stock` always hold."""

    closes_at: str
    """From this time on it can no longer be; absent without a closing."""
    max_held_per_user: int
    """Most units of one user in active holds; absent when unlimited."""
    min_per_order: int
    """Fewest units in one order or hold; absent without a minimum."""
    opens_at: str
    """From this time on the product can be ordered and held; absent without an opening."""
    per_window: PerWindow
    """Most units of one user within a window; absent when unlimited."""


class ProductPatch(TypedDict, total=False):
    """The body of `PATCH /products/{id}`: missing fields stay as they are; null removes `sku`, the limits and the window of the sale."""

    closes_at: Optional[str]
    """When the sale closes, as RFC 3339, after `opens_at`."""
    low_stock_threshold: Optional[int]
    """The new number of units at which the event `stock.low` is sent."""
    max_held_per_user: Optional[int]
    """The new limit of units of one user in active holds."""
    max_per_order: Optional[int]
    """The new limit for one order."""
    max_per_user: Optional[int]
    """The new limit for one user."""
    min_per_order: Optional[int]
    """The new minimum for one order."""
    name: str
    """The new name. At most 255 bytes of UTF-8, not blank, no control characters."""
    opens_at: Optional[str]
    """When the sale opens, as RFC 3339."""
    per_window: Optional[PerWindow]
    """The new limit of one user within a window."""
    price: Union[str, Union[int, Decimal]]
    sku: Optional[str]
    """The new identifier, unlike that of any other product. At most 64 bytes of UTF-8, not
    blank, no control characters."""
    stock: int
    """Units that can be sold from now on. Reserved and held units are on top."""


class _ProductRequestRequired(TypedDict):
    name: str
    """The name. At most 255 bytes of UTF-8, not blank, no control characters."""
    price: Union[str, Union[int, Decimal]]
    """Price of one as decimal text with at most two places; a JSON number is read too."""
    stock: int
    """Units that can be sold. Reserved and held units are on top; setting this never erases
    them."""


class ProductRequest(_ProductRequestRequired, total=False):
    """The body of `POST /products` and of `PUT /products/{id}`. A `PUT` removes optional fields that are missing."""

    closes_at: Optional[str]
    """When the sale closes, as RFC 3339, after `opens_at`. New orders and holds, and extensions
    of holds, are refused from then on. A hold made before may still become an order."""
    low_stock_threshold: Optional[int]
    """The event `stock.low` is sent when the units that can be sold fall to this number."""
    max_held_per_user: Optional[int]
    """Most units of one user in active holds. Holds must then name a user."""
    max_per_order: Optional[int]
    """Most units in one order."""
    max_per_user: Optional[int]
    """Most units of one user: open, held and paid ones, counted from the first request that
    sets a limit. Orders and holds must then name a user."""
    min_per_order: Optional[int]
    """Fewest units in one order or hold."""
    opens_at: Optional[str]
    """When the sale opens, as RFC 3339. New orders and holds are refused before."""
    per_window: Optional[PerWindow]
    """Most units of one user within a window that ends now: open, held and paid ones, counted
    from the request that sets the limit. Orders and holds must then name a user."""
    sku: Optional[str]
    """The caller's own identifier, unlike that of any other product. At most 64 bytes of UTF-8,
    not blank, no control characters."""


class _PurchaseRequestRequired(TypedDict):
    product_id: int
    """What is bought."""
    quantity: int
    """How many, 1 to 1,000,000."""


class PurchaseRequest(_PurchaseRequestRequired, total=False):
    """The body of `POST /orders/purchase`: one product, one quantity."""

    client_reference: Optional[str]
    """Your name of the order, such as the number of a cart: 1 to 64 printable ASCII characters.
    No other order of the cluster may have it, also when this one has failed or is cancelled."""
    expected_total: Optional[Union[str, Union[int, Decimal]]]
    """Refuse the order when its total differs: decimal text with at most two places; a JSON
    number is read too."""
    idempotency_key: Optional[str]
    """Makes retries safe: 1 to 255 printable characters."""
    user_id: Optional[int]
    """Who buys."""


class RecheckRequest(TypedDict, total=False):
    """The body of `POST /orders/{id}/recheck`, which may be empty."""

    expected_attempt: Optional[int]
    """Refuse when another attempt is current."""


class Refund(TypedDict):
    """A refund."""

    actor: str
    """Who decided, as the request said."""
    amount: str
    """What the customer gets."""
    amount_minor: int
    """The same in hundredths."""
    created_at: str
    """When it was requested."""
    failure_reason: Optional[str]
    """Why it failed; null otherwise."""
    id: int
    """Its id."""
    idempotency_key: Optional[str]
    """The idempotency key of the request; null for none."""
    lines: List[RefundLine]
    """The units that it is for."""
    order_id: int
    """The order."""
    reason: str
    """Why."""
    status: RefundStatus
    """Its status."""
    trace_id: str
    """The trace id of the request."""
    unanswered: int
    """How often the gateway was asked without a definite answer."""
    updated_at: str
    """When it last changed."""


class _RefundLineRequired(TypedDict):
    line: int
    """The line of the order, from 1."""
    quantity: int
    """How many of its units."""


class RefundLine(_RefundLineRequired, total=False):
    """Units of a line of an order."""

    restock: bool
    """Whether they can be sold again."""


class _RefundRequestRequired(TypedDict):
    actor: str
    """Who decides. At most 255 bytes of UTF-8, not blank, no control characters."""
    reason: str
    """Why. At most 255 bytes of UTF-8, not blank, no control characters."""


class RefundRequest(_RefundRequestRequired, total=False):
    """The body of `POST /orders/{id}/refunds`."""

    amount: Optional[Union[str, Union[int, Decimal]]]
    """What the customer gets. Without it, the price of the lines, as far as that is left;
    without lines too, all that is left."""
    idempotency_key: Optional[str]
    """Makes retries safe: 1 to 255 printable characters."""
    lines: Optional[List[RefundLine]]
    """The units that it is for."""


class _RefusedOrderRequired(TypedDict):
    error: str
    """The error code that the order would have had on its own."""
    index: int
    """The place of the order in the request, from 0."""
    message: str
    """What went wrong."""
    status: int
    """The HTTP status that the order would have had on its own."""


class RefusedOrder(_RefusedOrderRequired, total=False):
    """An order because of which an atomic batch was refused."""

    opens_at: str
    """For `sale_not_open`: when the sale opens."""
    retry_after_ms: int
    """For `sale_not_open`: milliseconds until the sale opens."""
    shortages: List[Shortage]
    """For `insufficient_stock`: every product that is short, in the order of the lines."""


class RevokedToken(TypedDict):
    """A token that was revoked."""

    already: bool
    """Whether it was revoked before."""
    id: int
    """Its id."""


class Services(TypedDict):
    """The parts of a node."""

    quorum: ServiceState
    """Whether a leader with a majority is known."""
    raft: ServiceState
    """The replication thread and its log."""
    storage: ServiceState
    """The checkpoints of the state."""
    worker: ServiceState
    """The payment worker."""


class _SessionRequired(TypedDict):
    actor: ActorKind
    """Who sent the request."""
    mode: AuthMode
    """Whether this node asks for credentials."""
    scopes: List[Scope]
    """What the credentials allow; without any, what the mode lets everybody do."""


class Session(_SessionRequired, total=False):
    """What the credentials of a request are worth."""

    expires_at: str
    """When they end."""
    owner: str
    """The name of its owner."""
    token_id: int
    """The token that was used."""
    user_id: int
    """The user whose orders, holds, keys and events they are limited to."""


class _SettleRequestRequired(TypedDict):
    actor: str
    """Who decides. At most 255 bytes of UTF-8, not blank, no control characters."""
    expected_attempt: int
    """The attempt that you looked at, as `GET /payments/unsettled` shows it."""
    outcome: SettleOutcome
    """How the order ends."""
    reason: str
    """Why. At most 255 bytes of UTF-8, not blank, no control characters."""


class SettleRequest(_SettleRequestRequired, total=False):
    """The body of `POST /orders/{id}/settle`."""

    force: bool
    """With `failed`: do not ask the gateway to confirm that the payment takes no money any
    more."""
    provider_ref: Optional[str]
    """The payment at the provider. Required for `paid`. At most 255 bytes of UTF-8, not blank,
    no control characters."""


class Shortage(TypedDict):
    """A product of which fewer units are for sale than requested."""

    available: int
    """Units for sale; in an atomic batch, without those of the orders before."""
    product_id: int
    """The product."""
    requested: int
    """Requested units, all lines of the product together."""


class Snapshot(TypedDict):
    """A snapshot of the answering node's state."""

    bytes: int
    """The size of its file in bytes."""
    digest: str
    """Digest of the state at `index`; equal on every node."""
    index: int
    """Last log index that it holds."""
    term: int
    """The term of the entry at that index."""


class _TokenRequired(TypedDict):
    created_at: str
    """When it was created."""
    expired: bool
    """Whether it has expired, by the cluster's clock."""
    id: int
    """Its id, from 1."""
    owner: str
    """The name of its owner. Several tokens may have one owner."""
    scopes: List[Scope]
    """What it may do."""


class Token(_TokenRequired, total=False):
    """A token, without its secret."""

    expires_at: str
    """From then on it counts for nothing."""
    label: str
    """What people call it."""
    user_id: int
    """The user whose orders, holds, keys and events it is limited to."""


class _TokenRequestRequired(TypedDict):
    owner: str
    """The name of its owner. At most 64 bytes of UTF-8, not blank, no control characters."""
    scopes: List[Scope]
    """What it may do; at least one scope. With a user: `catalog:read`, `orders:read`,
    `orders:write`, `users:read`, `events:read`."""


class TokenRequest(_TokenRequestRequired, total=False):
    """The body of `POST /auth/tokens`."""

    expires_in_s: Optional[int]
    """It counts for this many seconds; without it, until it is revoked."""
    label: Optional[str]
    """What people call it. At most 100 bytes of UTF-8, not blank, no control characters."""
    user_id: Optional[int]
    """Limit it to the orders, holds, keys and events of this user."""


class TransferRequest(TypedDict, total=False):
    """The body of `POST /cluster/transfer-leader`."""

    to: Optional[int]
    """The member that shall lead; the best other voter by default."""


class UnsettledPayment(TypedDict):
    """A payment that was begun and has no definite result."""

    amount: str
    """The amount."""
    amount_minor: int
    """The same in hundredths."""
    attempt: int
    """The current attempt."""
    in_flight: bool
    """Whether a node may be calling about it now."""
    next_at: str
    """When it is asked for next, or when the current call counts as lost."""
    order_id: int
    """The order, which is PROCESSING."""
    payment_key: str
    """What the gateway knows the attempt as."""
    payment_method: PaymentMethod
    """Who is asked."""
    since: str
    """When the payment of the order began."""
    trace_id: str
    """The trace id of the order."""
    unanswered: int
    """How often it was asked for without a definite answer."""


class User(TypedDict):
    """A user."""

    created_at: str
    """When the user was created."""
    email: str
    """Their e-mail address."""
    id: int
    """The user's id, from 1."""
    name: str
    """Their name."""
    version: int
    """Position of the creation, also the `ETag`."""


class UserRequest(TypedDict):
    """The body of `POST /users`."""

    email: str
    """The e-mail address, unlike that of any other user; at most 255 bytes of UTF-8."""
    name: str
    """The name. At most 255 bytes of UTF-8, not blank, no control characters."""


class WebhookReceipt(TypedDict):
    """What was done with the result of a payment."""

    conflict: Optional[WebhookConflict]
    """Why the result cannot be applied; null unless it is in conflict."""
    duplicate: bool
    """Whether the result was recorded before; then this delivery changed nothing."""
    order_id: int
    """The order."""
    order_status: Optional[OrderStatus]
    """The status of the order now; null when there is no such order."""
    parked: bool
    """Whether the result waits for its order. Only earlier versions let one wait."""
    result: WebhookResult
    """What was done with the result."""


class _WebhookRequestRequired(TypedDict):
    order_id: int
    """The order."""
    status: PaymentResult
    """The result of the payment."""


class WebhookRequest(_WebhookRequestRequired, total=False):
    """The body of `POST /payments/webhook`."""

    amount: Optional[Union[str, Union[int, Decimal]]]
    """How much was paid. An amount other than the order's total is a conflict."""
    idempotency_key: Optional[str]
    """The provider's name for this result, the same in every delivery: 1 to 255 printable
    characters. Required when webhooks are signed, because the signature covers it; without a
    secret the header will do."""
    payload: Any
    """Anything else, kept with the result: at most 4 KiB of JSON, numbers of at most 64
    bits."""
