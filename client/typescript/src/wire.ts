/**
 * The JSON objects of the API, as `client/generate-types` writes them: do not edit.
 *
 * A newer server may send fields and words that are missing here, so sets of words are open.
 * Amounts are text. Beside them, `…_minor` is exact below 2^53 only, as all numbers of JavaScript.
 */

/** Any other word, without losing the completion of the known ones. */
type Other = string & {};

/** Who sent a request. */
export type ActorKind = "nobody" | "root" | "token" | "customer" | Other;

/** What came of something that was asked for. */
export type AuditOutcome = "done" | "refused" | Other;

/** Whether requests need credentials. `off`: they count for nothing. `optional`: those that are given must be right. `required`: requests without any are refused. */
export type AuthMode = "off" | "optional" | "required" | Other;

/** The type of an event. */
export type EventType = "order.placed" | "order.processing" | "order.paid" | "order.failed" | "order.cancelled" | "order.rejected" | "hold.created" | "hold.extended" | "hold.consumed" | "hold.expired" | "hold.released" | "product.created" | "product.updated" | "product.archived" | "stock.adjusted" | "stock.low" | "stock.sold_out" | "payment.conflict" | "payment.unmatched" | "payment.settled" | "refund.requested" | "refund.succeeded" | "refund.failed" | Other;

/** Whether a node can work. `degraded` comes with 503. */
export type HealthStatus = "ok" | "degraded" | Other;

/** The status of a hold: `active`, then `consumed` by one order, `expired` at its deadline, or `released`. */
export type HoldStatus = "active" | "consumed" | "expired" | "released" | Other;

/** The state of an idempotency key. `applied`: it made an order. `fenced`: it can never make one. `unused`: neither. */
export type KeyState = "applied" | "fenced" | "unused" | Other;

/** The role of a member, as far as the answering node knows. */
export type MemberRole = "leader" | "follower" | "candidate" | "learner" | "unknown" | Other;

/** The status of an order: PENDING → PROCESSING → PAID or FAILED; PENDING → CANCELLED. Nothing else. */
export type OrderStatus = "PENDING" | "PROCESSING" | "PAID" | "FAILED" | "CANCELLED" | Other;

/** Whether a request that failed may have taken effect. `not_applied`: it never entered the log. `rejected`: it was decided and has no effect. `unknown`: it may have taken effect, or may yet. */
export type Outcome = "not_applied" | "rejected" | "unknown" | Other;

/** Who decides whether an order is paid. `gateway`: the payment worker asks the gateway of the nodes; without one they refuse it. `mock`: the same, but only while that is the simulated gateway, which takes no money. `webhook`: a webhook brings the result, else the order is cancelled at its deadline. `none`: the order stays PENDING until it is cancelled. */
export type PaymentMethod = "mock" | "webhook" | "none" | "gateway" | Other;

/** The result of a payment. */
export type PaymentResult = "success" | "failure" | Other;

/** The status of an order's payment. `unsettled`: the result of an attempt is unknown, and the payment worker asks for it again. */
export type PaymentStatus = "pending" | "unsettled" | "succeeded" | "declined" | Other;

/** The status of a refund. */
export type RefundStatus = "requested" | "succeeded" | "failed" | Other;

/** The same status in the words of older clients. */
export type SagaStatus = "RESERVED" | "CONFIRMED" | "CANCELLED" | Other;

/** A right that a token gives. */
export type Scope = "catalog:read" | "catalog:write" | "stock:read" | "stock:write" | "orders:read" | "orders:write" | "users:read" | "users:write" | "events:read" | "payments:webhook" | "payments:admin" | "tasks" | "metrics:read" | "cluster:read" | "cluster:join" | "cluster:admin" | "backup" | "auth:admin" | Other;

/** The state of one part of a node. `standby`: it works, but another node does its work now. */
export type ServiceState = "ok" | "standby" | "down" | Other;

/** How an operator ends an order. */
export type SettleOutcome = "paid" | "failed" | Other;

/** Why the result of a payment cannot be applied to its order. */
export type WebhookConflict = "late" | "under_way" | "amount" | "method" | Other;

/** What was done with the result of a payment. */
export type WebhookResult = "applied" | "duplicate" | "conflict" | "unmatched" | Other;

/** An adjustment of the stock of a product. It never changes. */
export interface Adjustment {
  /** When it was made. */
  created_at: string;
  /** Units that were added, or taken out when negative. */
  delta: number;
  /** The stock that was expected; null for none. */
  expected: number | null;
  /** The adjustment's id, from 1. */
  id: number;
  /** The key of the request, if any. */
  idempotency_key: string | null;
  /** The product after the request; absent when it is archived. */
  product?: Product;
  /** The product. */
  product_id: number;
  /** Why. */
  reason: string;
  /** The stock that `set` asked for; null for a `delta`. */
  set: number | null;
  /** Units that could be sold right after it. */
  stock: number;
  /** Trace id of the request. */
  trace_id: string | null;
  /** Its position in the log. */
  version: number;
}

/** The body of `POST /products/{id}/adjustments`: exactly one of `delta` and `set`. */
export interface AdjustmentRequest {
  /** Units to add, or to take out when negative; not 0. */
  delta?: number | null;
  /** Units that must be for sale before, else the answer is 409 `stock_mismatch`. */
  expected?: number | null;
  /** Makes retries safe: 1 to 255 printable characters. */
  idempotency_key?: string | null;
  /** Why; the ledger shows it. At most 255 bytes of UTF-8, not blank, no control characters. */
  reason: string;
  /** Units that can be sold afterwards. Reserved and held units are on top. */
  set?: number | null;
}

/** One row of the audit. */
export interface AuditRow {
  /** What for, such as `token.create`. Further actions may come. */
  action: string;
  /** Who asked: `nobody`, `node`, or the kind and id of their credentials, such as `token:17`, `root:1` (with the node) and `customer:7` (with the user). */
  actor: string;
  /** When it was, by the cluster's clock. */
  at: string;
  /** Its id, dense within its kind, from 1. */
  id: number;
  /** What came of it. */
  outcome: AuditOutcome;
  /** The place of the command in the log. */
  position: number;
  /** The id of the token, order, product or member, or the level, that it is about. */
  target?: number;
  /** The trace id of the request. */
  trace_id: string;
}

/** Whether requests need credentials. */
export interface Auth {
  /** The mode of the node that answered: one with a root token treats `off` as `required`. */
  here: AuthMode;
  /** The mode of the cluster. */
  mode: AuthMode;
  /** How many tokens there are, those that have expired included. */
  tokens: number;
}

/** The body of `PUT /auth/mode`. */
export interface AuthRequest {
  /** The mode from here on. */
  mode: AuthMode;
}

/** The body of `POST /orders/batch`. */
export interface BatchRequest {
  /** Place all orders or none. Otherwise each order is placed or refused on its own. */
  atomic?: boolean | null;
  /** The orders, 1 to 1,000, each with its own idempotency key, if any. */
  orders: OrderRequest[];
}

/** The result of one order of a batch: the order, or an error. */
export interface BatchResult {
  /** The error code; absent when there is an order, as are all fields of the error. */
  error?: string;
  /** The error code in capitals. */
  error_code?: string;
  /** For `validation_error`: what is wrong, by field. */
  errors?: Record<string, string[]>;
  /** The place of the order in the request, from 0. */
  index: number;
  /** What went wrong. */
  message?: string;
  /** For `sale_not_open`: when the sale opens. */
  opens_at?: string;
  /** The order right after the batch; absent when there is an error. */
  order?: Order;
  /** Whether the order may have taken effect. */
  outcome?: Outcome;
  /** For `sale_not_open`: milliseconds until the sale opens. */
  retry_after_ms?: number;
  /** Whether the same order may succeed when it is sent again later. */
  retryable?: boolean;
  /** For `insufficient_stock`: every product that is short, in the order of the lines. */
  shortages?: Shortage[];
  /** The HTTP status that the order would have had on its own: 201 when it was placed, 200 when its key had placed it before. */
  status: number;
}

/** The state of an idempotency key, and its order. */
export interface ByKey {
  /** The order that the key made; absent unless `state` is `applied`. */
  order?: Order;
  /** The state of the key. */
  state: KeyState;
}

/** The optional body of `POST /orders/{id}/cancel`. */
export interface CancelRequest {
  /** Why; kept in the order's history. At most 255 bytes of UTF-8, not blank, no control characters. */
  reason?: string | null;
}

/** The cluster as the answering node sees it, without a quorum. */
export interface Cluster {
  /** Last log index that the node has applied. */
  applied_index: number;
  /** The cluster's id. */
  cluster_id: string;
  /** Last log index that the node knows to be committed. */
  commit_index: number;
  /** Digest of the state at `applied_index`; equal on every node. */
  digest: string;
  /** What of the answering node is open to everybody who reaches it: `http`, `peers`, or `peers_migrate` while links without TLS are taken too. */
  insecure: string[];
  /** The leader; null when the node knows none. */
  leader_id: number | null;
  /** The level whose rules the cluster uses, as of `applied_index`. */
  level: number;
  /** The newest level that the node speaks. */
  level_newest: number;
  /** How many more entries the log can take in the cluster's life; null from a node that does not say. */
  log_entries_left: number | null;
  /** All members, by ascending id. */
  members: Member[];
  /** The lowest id above all ids that members have or had. */
  next_member_id: number;
  /** The process that answers; null from a node that does not say. */
  node: NodeState | null;
  /** The node that answers. */
  node_id: number;
  /** Whether payments wait until they are resumed. */
  payments_paused: boolean;
  /** The member whose data this node had before the data was damaged and the node was rebuilt as a new member; null when that never happened. */
  rebuilt_from: number | null;
  /** The node's term. */
  term: number;
  /** Settings of the answering node that are only for trials, as flags of `serve`. */
  unsafe_settings: string[];
  /** What an operator should look at, as sentences; the node still works. */
  warnings: string[];
}

/** A token that was just created. */
export interface CreatedToken {
  /** From then on it counts for nothing. */
  expires_at?: string;
  /** Its id, from 1. */
  id: number;
  /** The token itself, for `Authorization: Bearer`. Nobody can read it again: the cluster keeps a hash. */
  token: string;
}

/** Where the next page of a list begins. */
export interface CursorMeta {
  /** Whether more rows follow. */
  has_more: boolean;
  /** Send this as the cursor (in a ledger as `after`) to get the next page; null on the last page. */
  next_cursor: string | null;
}

/** One thing that happened. Its type says which fields are there; the others are absent. */
export interface Event {
  /** Who decided, as the request said. */
  actor?: string;
  /** The adjustment. */
  adjustment_id?: number;
  /** Its amount, if it gave one. */
  amount?: string;
  /** The same in hundredths. */
  amount_minor?: number;
  /** The payment attempt. */
  attempt?: number;
  /** Units that can be sold. */
  available_stock?: number;
  /** When the order was cancelled. */
  cancelled_at?: string;
  /** Units that were added, or taken out when negative. */
  delta?: number;
  /** Its deadline. */
  expires_at?: string;
  /** The hold. */
  hold_id?: number;
  /** Its id, `<position>.<n>`: the same on every node, ascending, and what `after` takes. */
  id: string;
  /** What it holds. */
  items?: OrderLineRequest[];
  /** The number of units at which `stock.low` is sent. */
  low_stock_threshold?: number;
  /** The name that clients of the older systems use. */
  name?: string;
  /** The order. */
  order_id?: number;
  /** The product. */
  product_id?: number;
  /** The products that the order names, each once. */
  product_ids?: number[];
  /** The payment at the provider. */
  provider_ref?: string;
  /** Why an order failed or was cancelled, or why an operator decided so; for `payment.conflict`: `late`, `under_way`, `amount` or `method`. */
  reason?: string;
  /** The refund. */
  refund_id?: number;
  /** The payment's result. */
  result?: string;
  /** The same in the words of older clients. */
  saga_status?: SagaStatus;
  /** The status that the order entered. */
  status?: OrderStatus;
  /** When, on the cluster's clock. */
  timestamp: string;
  /** The order's total. */
  total_amount?: string;
  /** The same in hundredths. */
  total_amount_minor?: number;
  /** Trace id of the request behind it. */
  trace_id: string;
  /** Its type. */
  type: EventType;
  /** The user of the order or hold. */
  user_id?: number;
  /** The payment result. */
  webhook_id?: number;
}

/** The body of `POST /holds/{id}/extend`. */
export interface ExtendRequest {
  /** For how many seconds from now, at least 1. A hold lives at most as long as the server allows (3,600 seconds unless set otherwise), and an extension never shortens it. */
  ttl_seconds: number;
}

/** A node that founded the cluster. */
export interface Founder {
  /** Where clients reached it; null when it never said so. */
  http_addr: string | null;
  /** Its id. */
  id: number;
  /** Where its peers reached it. */
  raft_addr: string;
}

/** The body of `GET /health`, with status 200 or 503. */
export interface Health {
  /** The leader as the node knows it; null when it knows none. */
  leader_id: number | null;
  /** The node that answers. */
  node_id: number;
  /** The parts behind that judgement. */
  services: Services;
  /** Whether the node is fit for work. */
  status: HealthStatus;
  /** When the node answered, on its own clock. */
  timestamp: string;
  /** What an operator should look at, as sentences; the node still works. */
  warnings: string[];
}

/** A hold as it is at one position. */
export interface Hold {
  /** When the hold was made. */
  created_at: string;
  /** From this time on the hold cannot be used. */
  expires_at: string;
  /** The same as `id`. */
  hold_id: number;
  /** The hold's id, from 1. */
  id: number;
  /** The key that made the hold, if any. */
  idempotency_key: string | null;
  /** The lines, 1 to 100, in the order in which they were sent. */
  items: HoldLine[];
  /** The order that took it over; null otherwise. */
  order_id: number | null;
  /** The product of a hold with exactly one line; absent otherwise. */
  product_id?: number;
  /** The same as `quantity`, in the word of older clients. */
  qty?: number;
  /** The quantity of a hold with exactly one line; absent otherwise. */
  quantity?: number;
  /** The hold's status. */
  status: HoldStatus;
  /** Sum of the lines as decimal text, if they have prices. */
  total_amount?: string;
  /** Trace id of the request that made the hold. */
  trace_id: string | null;
  /** When the hold last changed. */
  updated_at: string;
  /** The user it is for; null when the request named none. */
  user_id: number | null;
  /** Position of the hold's last change, also its `ETag`. */
  version: number;
}

/** One line of a hold. */
export interface HoldLine {
  /** What is held. */
  product_id: number;
  /** How many, 1 to 1,000,000. */
  quantity: number;
  /** Price of one as decimal text when the hold was made, which its order pays. Absent in holds of a cluster at level 0: their orders pay the price of their moment. */
  unit_price?: string;
}

/** The body of `POST /holds`: either `items`, or `product_id` with `quantity` or `qty`. */
export interface HoldRequest {
  /** Makes retries safe: 1 to 255 printable characters. */
  idempotency_key?: string | null;
  /** What to hold: 1 to 100 lines. Lines with the same product are added up before the check. */
  items?: OrderLineRequest[] | null;
  product_id?: number | null;
  qty?: number | null;
  quantity?: number | null;
  /** For how many seconds, at least 1: 120 by default, at most what the server allows (3,600 unless set otherwise). */
  ttl_seconds?: number | null;
  /** The user it is for; an order from the hold belongs to them. */
  user_id?: number | null;
}

/** The data directory that is known under an id. */
export interface KnownIncarnation {
  /** The id. */
  id: number;
  /** The random number of the directory, 16 hexadecimal digits. */
  incarnation: string;
}

/** The counters of a product. */
export interface LedgerCounters {
  /** Units in active holds. */
  held: number;
  /** Units in the house. */
  on_hand: number;
  /** Units in open orders. */
  reserved: number;
  /** Units in paid orders. */
  sold: number;
  /** Units that can be sold. */
  stock: number;
}

/** Changes of the counters of a product. */
export interface LedgerDeltas {
  /** Of the units in active holds. */
  held: number;
  /** Of the units in the house. */
  on_hand: number;
  /** Of the units in open orders. */
  reserved: number;
  /** Of the units in paid orders. */
  sold: number;
  /** Of the units that can be sold. */
  stock: number;
}

/** What moved units. */
export interface LedgerReference {
  /** Its id. */
  id: number;
  /** `order`, `hold`, `adjustment` or `refund`. */
  type: string;
}

/** One movement of units. */
export interface LedgerRow {
  /** Why the units moved: `created`, `order`, `sale`, `release`, `cancel`, `adjustment`, `hold`, `hold_consume`, `hold_release`, `hold_expire` or `return`. */
  cause: string;
  /** The counters after the movement. */
  counters: LedgerCounters;
  /** By how much each counter changed. */
  deltas: LedgerDeltas;
  /** Position of the movement in the log. */
  index: number;
  /** Number of the row among those of the same position, from 0. */
  line: number;
  /** The reason of an adjustment; null otherwise. */
  reason: string | null;
  /** What moved them; null for the creation of the product. */
  reference: LedgerReference | null;
  /** When, on the replicated clock. */
  time: string;
}

/** The body of `POST /cluster/level`. */
export interface LevelRequest {
  /** The level, from 1; the newest that the answering node speaks by default. */
  to?: number | null;
}

/** The filter of a node's log lines. */
export interface LogFilter {
  /** The filter that the node was started with. */
  configured: string;
  /** The filter that is in effect. */
  filter: string;
  /** When the configured filter comes back, in seconds; null if it is in effect. */
  seconds_left: number | null;
}

/** The body of `PUT /admin/log-filter`. Without a filter, the configured one comes back. */
export interface LogFilterRequest {
  /** Levels by module, as in `info,raft_node=debug`. At most 1024 bytes. */
  filter?: string | null;
  /** After how many seconds the configured filter comes back, 1 to 3600; 600 by default. */
  seconds?: number | null;
}

/** One member of the cluster. */
export interface Member {
  /** Whether the answering node has heard from it lately; true for itself. */
  healthy: boolean;
  /** Where clients reach it; null when it never said so. */
  http_addr: string | null;
  /** The member's id, from 1. */
  id: number;
  /** Entries that the member is behind the leader; null unless the leader answers. */
  lag: number | null;
  /** Milliseconds since the answering node heard from it; null for itself, and if it never did. */
  last_contact_ms: number | null;
  /** The newest level that it speaks; null while the answering node does not know. */
  level_newest: number | null;
  /** Last log index known to be on the member; null unless the leader answers. */
  match_index: number | null;
  /** Where its peers reach it. */
  raft_addr: string;
  /** The member whose place a learner takes when it gets its vote, if any. */
  replaces: number | null;
  /** Its role. */
  role: MemberRole;
  /** Seconds since it started; null unless it answers itself. */
  uptime_seconds: number | null;
  /** The version of its program; null unless it answers itself. */
  version: string | null;
}

/** What a joining node has to know. */
export interface MemberAdded {
  /** The cluster's id. */
  cluster_id: string;
  /** The cluster's name. */
  cluster_name: string;
  /** The nodes that founded it. */
  founders: Founder[];
  /** The data directories that the answering node knows. */
  incarnations: KnownIncarnation[];
  /** All members now, by ascending id. */
  members: Member[];
}

/** The body of `POST /cluster/members`: a node that is to join. */
export interface MemberRequest {
  /** Where clients reach it: HOST:PORT, at most 255 bytes. */
  http_addr?: string | null;
  /** Its id: one that no member has or ever had. */
  id: number;
  /** The random number of its data directory, 16 hexadecimal digits, which `--join` sends. Without it, the first directory that is met under the id counts. */
  incarnation?: string | null;
  /** Where its peers reach it: HOST:PORT, at most 255 bytes. */
  raft_addr: string;
  /** The member whose place it takes: that one leaves in the step in which this one gets its vote. */
  replaces?: number | null;
  /** The highest level that its build speaks, which `--join` sends; 0 by default. A cluster at a higher level refuses the node. */
  speaks?: number | null;
}

/** The process of the answering node, and how much room it has left. */
export interface NodeState {
  /** Free bytes on the disk of its data directory. */
  disk_free_bytes: number;
  /** It refuses writes while less than this is free; null from a node that does not say. */
  disk_reserve_bytes: number | null;
  /** How many it may have; null without a limit, or if the system does not say. */
  files_max: number | null;
  /** Open files and connections; null if the system does not say. */
  files_open: number | null;
  /** Memory that it uses, in bytes; null if the system does not say. */
  memory_bytes: number | null;
  /** How much it may use: the limit of its control group, else the memory of the machine; null if the system does not say. */
  memory_limit_bytes: number | null;
  /** Seconds since it started. */
  uptime_seconds: number;
  /** The version of its program. */
  version: string;
}

/** An order as it is at one position. */
export interface Order {
  /** When the order was cancelled; null otherwise. */
  cancelled_at: string | null;
  /** The caller's name of the order; absent when the request gave none. */
  client_reference?: string;
  /** When the order was placed. */
  created_at: string;
  /** Why the order is FAILED, or CANCELLED when its payment timed out or a reason was given; else null. */
  failure_reason: string | null;
  /** The hold that the order was made from, if any. */
  hold_id: number | null;
  /** The order's id, from 1. */
  id: number;
  /** The key that made the order, if any. */
  idempotency_key: string | null;
  /** The lines, 1 to 100, in the order in which they were sent. */
  items: OrderLine[];
  /** What the caller attached; null for nothing. */
  metadata: Record<string, unknown> | null;
  /** The same as `id`. */
  order_id: number;
  /** Who decides about the payment. */
  payment_method: PaymentMethod;
  /** The payment's status; null when the order ended without a payment. */
  payment_status: PaymentStatus | null;
  /** The product after the sale, in the answer to a purchase only. */
  product?: Product;
  /** The product of an order with exactly one line; absent otherwise. */
  product_id?: number;
  /** The quantity of an order with exactly one line; absent otherwise. */
  quantity?: number;
  /** The same in the words of older clients. */
  saga_status: SagaStatus;
  /** The order's status. */
  status: OrderStatus;
  /** Sum of the lines as decimal text. */
  total_amount: string;
  /** Sum of the lines in minor units. */
  total_amount_minor: number;
  /** The same as `total_amount`. */
  total_price: string;
  /** Trace id of the request that placed the order. */
  trace_id: string | null;
  /** When the order last changed. */
  updated_at: string;
  /** The user who ordered; null when the order names none. */
  user_id: number | null;
  /** Position of the order's last change, also its `ETag`. */
  version: number;
}

/** One step in the history of an order. */
export interface OrderEvent {
  /** What caused the step, such as `placed` or `payment_declined`. */
  cause: string;
  /** Status before; null for the step that placed the order. */
  from: OrderStatus | null;
  /** Position of the step in the log. */
  index: number;
  /** The reason that was given, such as that of a cancel; null for none. */
  reason: string | null;
  /** When, on the replicated clock. */
  time: string;
  /** Status after. */
  to: OrderStatus;
  /** Trace id of the request behind the step. */
  trace_id: string | null;
}

/** One line of an order, priced when the order was placed. */
export interface OrderLine {
  /** Number of the line in its order, from 1. */
  id: number;
  /** Price of the line as decimal text. */
  line_total: string;
  /** The order that the line belongs to. */
  order_id: number;
  /** What was ordered. */
  product_id: number;
  /** How many, 1 to 1,000,000. */
  quantity: number;
  /** Price of one as decimal text. */
  unit_price: string;
  /** Price of one in minor units. */
  unit_price_minor: number;
}

/** One line that a request asks for. */
export interface OrderLineRequest {
  /** What is ordered. */
  product_id: number;
  /** How many, 1 to 1,000,000. */
  quantity: number;
}

/** The refunds of an order. */
export interface OrderRefunds {
  /** The order. */
  order_id: number;
  /** What customers got or get back, by refunds that have not failed. */
  refunded: string;
  /** The same in hundredths. */
  refunded_minor: number;
  /** The refunds, oldest first. */
  refunds: Refund[];
}

/** The body of `POST /orders`: either `items` or `hold_id`. */
export interface OrderRequest {
  /** Your name of the order, such as the number of a cart: 1 to 64 printable ASCII characters. No other order of the cluster may have it, also when this one has failed or is cancelled. */
  client_reference?: string | null;
  /** Refuse the order when its total differs: decimal text with at most two places; a JSON number is read too. */
  expected_total?: string | number | null;
  /** The hold to turn into an order, instead of `items`. */
  hold_id?: number | null;
  /** Makes retries safe: 1 to 255 printable characters. */
  idempotency_key?: string | null;
  /** What is ordered, instead of `hold_id`: 1 to 100 lines. Lines with the same product are added up before the check. */
  items?: OrderLineRequest[] | null;
  /** Free data to keep with the order. */
  metadata?: Record<string, unknown> | null;
  /** Who decides about the payment. By default `webhook` for an order from a hold and where nodes have no payment gateway, else `mock`. */
  payment_method?: PaymentMethod | null;
  /** Who orders. */
  user_id?: number | null;
}

/** Where a page of orders stands in the whole list. */
export interface PageMeta {
  /** Number of this page, from 1; null for a list by cursor. */
  current_page: number | null;
  /** Whether more orders follow. */
  has_more: boolean;
  /** Number of the last page, at least 1; null for a list by cursor. */
  last_page: number | null;
  /** Send this as the cursor (in a ledger as `after`) to get the next page; null on the last page. */
  next_cursor: string | null;
  /** Most orders on one page: `per_page` (at most 50) or `limit` (at most 1,000). */
  per_page: number;
  /** Orders that match the filters; null for a list by cursor. */
  total: number | null;
}

/** The body of `POST /cluster/payments`. */
export interface PaymentsRequest {
  /** Whether payments wait. */
  paused: boolean;
}

/** At most this many units of one user in this many days. */
export interface PerWindow {
  /** The window in days of 24 hours, 1 to 366. Units count until their window has passed. */
  days: number;
  /** The most units. */
  units: number;
}

/** A line with its price. */
export interface PricedLine {
  /** The product. */
  product_id: number;
  /** How many, 1 to 1,000,000. */
  quantity: number;
  /** Price of one as decimal text. */
  unit_price: string;
}

/** The body of `GET /livez` and `GET /readyz`, with status 200 or 503. */
export interface Probe {
  /** Why not, in words; absent with 200. */
  reason?: string;
  /** `ok` with 200, `degraded` with 503. */
  status: HealthStatus;
}

/** Every error, in the shape of RFC 9457. */
export interface Problem {
  /** For `total_mismatch`: the total that the order would have. */
  actual?: string;
  /** For `purchase_limit_exceeded` by a limit within a window: when enough units of the user stop counting. Absent when the request exceeds the limit by itself. */
  allowed_at?: string;
  /** For `sale_not_open`: the replicated clock at the refusal. */
  clock?: string;
  /** What went wrong, with which value, and what to do. */
  detail: string;
  /** The error code. */
  error: string;
  /** The error code in capitals. */
  error_code: string;
  /** For `validation_error`: what is wrong, by field; null otherwise. */
  errors: Record<string, string[]> | null;
  /** For `total_mismatch`: the total that the request expected. */
  expected?: string;
  /** For `total_mismatch`: the lines with their prices. */
  items?: PricedLine[];
  /** The same as `detail`. */
  message: string;
  /** For `sale_not_open`: when the sale opens. */
  opens_at?: string;
  /** For `hold_consumed`: the order that the hold became. For `reference_taken`: the order that has the reference, if the caller may know it. */
  order_id?: number;
  /** Whether the request may have taken effect. */
  outcome: Outcome;
  /** For an atomic batch: every order because of which it was refused; absent otherwise. */
  results?: RefusedOrder[];
  /** Seconds to wait before a retry; absent when no wait is suggested. */
  retry_after?: number;
  /** For `sale_not_open`: milliseconds until the sale opens. */
  retry_after_ms?: number;
  /** Whether the same request may succeed when it is sent again later. */
  retryable: boolean;
  /** For `insufficient_stock` of an order or a hold: every product that is short, in the order of the lines; absent otherwise. */
  shortages?: Shortage[];
  /** The HTTP status. */
  status: number;
  /** Always `false`. */
  success: boolean;
  /** The kind of problem. */
  title: string;
  /** The same as `X-Trace-Id`. The server's log has more under this id. */
  trace_id: string;
  /** Path that names the kind of problem, such as `/problems/insufficient-stock`. */
  type: string;
}

/** A product and its counters at one position. `stock + held + reserved = on_hand` and `on_hand + sold = total_stock` always hold. */
export interface Product {
  /** The same as `stock`. */
  available_stock: number;
  /** From this time on it can no longer be; absent without a closing. */
  closes_at?: string;
  /** When the product was created. */
  created_at: string;
  /** Units in active holds. */
  held: number;
  /** The product's id, from 1. */
  id: number;
  /** The event `stock.low` is sent when the units that can be sold fall to this number; null for none. */
  low_stock_threshold: number | null;
  /** Most units of one user in active holds; absent when unlimited. */
  max_held_per_user?: number;
  /** Most units in one order; null when unlimited. */
  max_per_order: number | null;
  /** Most units for one user over all orders; null when unlimited. */
  max_per_user: number | null;
  /** Fewest units in one order or hold; absent without a minimum. */
  min_per_order?: number;
  /** Its name. */
  name: string;
  /** Units in the house, held and reserved ones included. */
  on_hand: number;
  /** From this time on the product can be ordered and held; absent without an opening. */
  opens_at?: string;
  /** Most units of one user within a window; absent when unlimited. */
  per_window?: PerWindow;
  /** Price of one as decimal text, at most `"99999999.99"`. */
  price: string;
  /** Price of one in minor units. */
  price_minor: number;
  /** Units in open orders. */
  reserved: number;
  /** The caller's own identifier of the product, if any. */
  sku: string | null;
  /** Units in paid orders. */
  sold: number;
  /** Units that can be sold. */
  stock: number;
  /** Units on hand and units sold. */
  total_stock: number;
  /** When the product or one of its counters last changed. */
  updated_at: string;
  /** Position of the last change, also the `ETag`. */
  version: number;
}

/** The body of `PATCH /products/{id}`: missing fields stay as they are; null removes `sku`, the limits and the window of the sale. */
export interface ProductPatch {
  /** When the sale closes, as RFC 3339, after `opens_at`. */
  closes_at?: string | null;
  /** The new number of units at which the event `stock.low` is sent. */
  low_stock_threshold?: number | null;
  /** The new limit of units of one user in active holds. */
  max_held_per_user?: number | null;
  /** The new limit for one order. */
  max_per_order?: number | null;
  /** The new limit for one user. */
  max_per_user?: number | null;
  /** The new minimum for one order. */
  min_per_order?: number | null;
  /** The new name. At most 255 bytes of UTF-8, not blank, no control characters. */
  name?: string;
  /** When the sale opens, as RFC 3339. */
  opens_at?: string | null;
  /** The new limit of one user within a window. */
  per_window?: PerWindow | null;
  price?: string | number;
  /** The new identifier, unlike that of any other product. At most 64 bytes of UTF-8, not blank, no control characters. */
  sku?: string | null;
  /** Units that can be sold from now on. Reserved and held units are on top. */
  stock?: number;
}

/** The body of `POST /products` and of `PUT /products/{id}`. A `PUT` removes optional fields that are missing. */
export interface ProductRequest {
  /** When the sale closes, as RFC 3339, after `opens_at`. New orders and holds, and extensions of holds, are refused from then on. A hold made before may still become an order. */
  closes_at?: string | null;
  /** The event `stock.low` is sent when the units that can be sold fall to this number. */
  low_stock_threshold?: number | null;
  /** Most units of one user in active holds. Holds must then name a user. */
  max_held_per_user?: number | null;
  /** Most units in one order. */
  max_per_order?: number | null;
  /** Most units of one user: open, held and paid ones, counted from the first request that sets a limit. Orders and holds must then name a user. */
  max_per_user?: number | null;
  /** Fewest units in one order or hold. */
  min_per_order?: number | null;
  /** The name. At most 255 bytes of UTF-8, not blank, no control characters. */
  name: string;
  /** When the sale opens, as RFC 3339. New orders and holds are refused before. */
  opens_at?: string | null;
  /** Most units of one user within a window that ends now: open, held and paid ones, counted from the request that sets the limit. Orders and holds must then name a user. */
  per_window?: PerWindow | null;
  /** Price of one as decimal text with at most two places; a JSON number is read too. */
  price: string | number;
  /** The caller's own identifier, unlike that of any other product. At most 64 bytes of UTF-8, not blank, no control characters. */
  sku?: string | null;
  /** Units that can be sold. Reserved and held units are on top; setting this never erases them. */
  stock: number;
}

/** The body of `POST /orders/purchase`: one product, one quantity. */
export interface PurchaseRequest {
  /** Your name of the order, such as the number of a cart: 1 to 64 printable ASCII characters. No other order of the cluster may have it, also when this one has failed or is cancelled. */
  client_reference?: string | null;
  /** Refuse the order when its total differs: decimal text with at most two places; a JSON number is read too. */
  expected_total?: string | number | null;
  /** Makes retries safe: 1 to 255 printable characters. */
  idempotency_key?: string | null;
  /** What is bought. */
  product_id: number;
  /** How many, 1 to 1,000,000. */
  quantity: number;
  /** Who buys. */
  user_id?: number | null;
}

/** The body of `POST /orders/{id}/recheck`, which may be empty. */
export interface RecheckRequest {
  /** Refuse when another attempt is current. */
  expected_attempt?: number | null;
}

/** A refund. */
export interface Refund {
  /** Who decided, as the request said. */
  actor: string;
  /** What the customer gets. */
  amount: string;
  /** The same in hundredths. */
  amount_minor: number;
  /** When it was requested. */
  created_at: string;
  /** Why it failed; null otherwise. */
  failure_reason: string | null;
  /** Its id. */
  id: number;
  /** The idempotency key of the request; null for none. */
  idempotency_key: string | null;
  /** The units that it is for. */
  lines: RefundLine[];
  /** The order. */
  order_id: number;
  /** Why. */
  reason: string;
  /** Its status. */
  status: RefundStatus;
  /** The trace id of the request. */
  trace_id: string;
  /** How often the gateway was asked without a definite answer. */
  unanswered: number;
  /** When it last changed. */
  updated_at: string;
}

/** Units of a line of an order. */
export interface RefundLine {
  /** The line of the order, from 1. */
  line: number;
  /** How many of its units. */
  quantity: number;
  /** Whether they can be sold again. */
  restock?: boolean;
}

/** The body of `POST /orders/{id}/refunds`. */
export interface RefundRequest {
  /** Who decides. At most 255 bytes of UTF-8, not blank, no control characters. */
  actor: string;
  /** What the customer gets. Without it, the price of the lines, as far as that is left; without lines too, all that is left. */
  amount?: string | number | null;
  /** Makes retries safe: 1 to 255 printable characters. */
  idempotency_key?: string | null;
  /** The units that it is for. */
  lines?: RefundLine[] | null;
  /** Why. At most 255 bytes of UTF-8, not blank, no control characters. */
  reason: string;
}

/** An order because of which an atomic batch was refused. */
export interface RefusedOrder {
  /** The error code that the order would have had on its own. */
  error: string;
  /** The place of the order in the request, from 0. */
  index: number;
  /** What went wrong. */
  message: string;
  /** For `sale_not_open`: when the sale opens. */
  opens_at?: string;
  /** For `sale_not_open`: milliseconds until the sale opens. */
  retry_after_ms?: number;
  /** For `insufficient_stock`: every product that is short, in the order of the lines. */
  shortages?: Shortage[];
  /** The HTTP status that the order would have had on its own. */
  status: number;
}

/** A token that was revoked. */
export interface RevokedToken {
  /** Whether it was revoked before. */
  already: boolean;
  /** Its id. */
  id: number;
}

/** The parts of a node. */
export interface Services {
  /** Whether a leader with a majority is known. */
  quorum: ServiceState;
  /** The replication thread and its log. */
  raft: ServiceState;
  /** The checkpoints of the state. */
  storage: ServiceState;
  /** The payment worker. */
  worker: ServiceState;
}

/** What the credentials of a request are worth. */
export interface Session {
  /** Who sent the request. */
  actor: ActorKind;
  /** When they end. */
  expires_at?: string;
  /** Whether this node asks for credentials. */
  mode: AuthMode;
  /** The name of its owner. */
  owner?: string;
  /** What the credentials allow; without any, what the mode lets everybody do. */
  scopes: Scope[];
  /** The token that was used. */
  token_id?: number;
  /** The user whose orders, holds, keys and events they are limited to. */
  user_id?: number;
}

/** The body of `POST /orders/{id}/settle`. */
export interface SettleRequest {
  /** Who decides. At most 255 bytes of UTF-8, not blank, no control characters. */
  actor: string;
  /** The attempt that you looked at, as `GET /payments/unsettled` shows it. */
  expected_attempt: number;
  /** With `failed`: do not ask the gateway to confirm that the payment takes no money any more. */
  force?: boolean;
  /** How the order ends. */
  outcome: SettleOutcome;
  /** The payment at the provider. Required for `paid`. At most 255 bytes of UTF-8, not blank, no control characters. */
  provider_ref?: string | null;
  /** Why. At most 255 bytes of UTF-8, not blank, no control characters. */
  reason: string;
}

/** A product of which fewer units are for sale than requested. */
export interface Shortage {
  /** Units for sale; in an atomic batch, without those of the orders before. */
  available: number;
  /** The product. */
  product_id: number;
  /** Requested units, all lines of the product together. */
  requested: number;
}

/** A snapshot of the answering node's state. */
export interface Snapshot {
  /** The size of its file in bytes. */
  bytes: number;
  /** Digest of the state at `index`; equal on every node. */
  digest: string;
  /** Last log index that it holds. */
  index: number;
  /** The term of the entry at that index. */
  term: number;
}

/** A token, without its secret. */
export interface Token {
  /** When it was created. */
  created_at: string;
  /** Whether it has expired, by the cluster's clock. */
  expired: boolean;
  /** From then on it counts for nothing. */
  expires_at?: string;
  /** Its id, from 1. */
  id: number;
  /** What people call it. */
  label?: string;
  /** The name of its owner. Several tokens may have one owner. */
  owner: string;
  /** What it may do. */
  scopes: Scope[];
  /** The user whose orders, holds, keys and events it is limited to. */
  user_id?: number;
}

/** The body of `POST /auth/tokens`. */
export interface TokenRequest {
  /** It counts for this many seconds; without it, until it is revoked. */
  expires_in_s?: number | null;
  /** What people call it. At most 100 bytes of UTF-8, not blank, no control characters. */
  label?: string | null;
  /** The name of its owner. At most 64 bytes of UTF-8, not blank, no control characters. */
  owner: string;
  /** What it may do; at least one scope. With a user: `catalog:read`, `orders:read`, `orders:write`, `users:read`, `events:read`. */
  scopes: Scope[];
  /** Limit it to the orders, holds, keys and events of this user. */
  user_id?: number | null;
}

/** The body of `POST /cluster/transfer-leader`. */
export interface TransferRequest {
  /** The member that shall lead; the best other voter by default. */
  to?: number | null;
}

/** A payment that was begun and has no definite result. */
export interface UnsettledPayment {
  /** The amount. */
  amount: string;
  /** The same in hundredths. */
  amount_minor: number;
  /** The current attempt. */
  attempt: number;
  /** Whether a node may be calling about it now. */
  in_flight: boolean;
  /** When it is asked for next, or when the current call counts as lost. */
  next_at: string;
  /** The order, which is PROCESSING. */
  order_id: number;
  /** What the gateway knows the attempt as. */
  payment_key: string;
  /** Who is asked. */
  payment_method: PaymentMethod;
  /** When the payment of the order began. */
  since: string;
  /** The trace id of the order. */
  trace_id: string;
  /** How often it was asked for without a definite answer. */
  unanswered: number;
}

/** A user. */
export interface User {
  /** When the user was created. */
  created_at: string;
  /** Their e-mail address. */
  email: string;
  /** The user's id, from 1. */
  id: number;
  /** Their name. */
  name: string;
  /** Position of the creation, also the `ETag`. */
  version: number;
}

/** The body of `POST /users`. */
export interface UserRequest {
  /** The e-mail address, unlike that of any other user; at most 255 bytes of UTF-8. */
  email: string;
  /** The name. At most 255 bytes of UTF-8, not blank, no control characters. */
  name: string;
}

/** What was done with the result of a payment. */
export interface WebhookReceipt {
  /** Why the result cannot be applied; null unless it is in conflict. */
  conflict: WebhookConflict | null;
  /** Whether the result was recorded before; then this delivery changed nothing. */
  duplicate: boolean;
  /** The order. */
  order_id: number;
  /** The status of the order now; null when there is no such order. */
  order_status: OrderStatus | null;
  /** Whether the result waits for its order. Only earlier versions let one wait. */
  parked: boolean;
  /** What was done with the result. */
  result: WebhookResult;
}

/** The body of `POST /payments/webhook`. */
export interface WebhookRequest {
  /** How much was paid. An amount other than the order's total is a conflict. */
  amount?: string | number | null;
  /** The provider's name for this result, the same in every delivery: 1 to 255 printable characters. Required when webhooks are signed, because the signature covers it; without a secret the header will do. */
  idempotency_key?: string | null;
  /** The order. */
  order_id: number;
  /** Anything else, kept with the result: at most 4 KiB of JSON, numbers of at most 64 bits. */
  payload?: unknown;
  /** The result of the payment. */
  status: PaymentResult;
}
