/** The client: one method for each operation of the API. */

import {
  ANSWER_TIME_MIN_MS, type Answer, type Call, type Content, type Repeat, type Scope, type Settings, backoffMs, now, run,
  sleep, uuid,
} from "./call.js";
import { Endpoints } from "./endpoints.js";
import { HoldfastError } from "./errors.js";
import { EventStream } from "./events.js";
import { Transport } from "./transport.js";
import { SIGNATURE_HEADER, signWebhook } from "./webhooks.js";
import type * as wire from "./wire.js";

/** One page of a list. */
export interface Page<T> extends Answer<T[]> {
  /** Where the page stands in the list. */
  meta: wire.PageMeta;
}

/** The settings of a client. Times are in milliseconds, at most a day. */
export interface ClientOptions {
  /** Sent as `Authorization: Bearer …`. */
  token?: string;
  /** Time for a whole call with all its attempts and waits: 15,000. */
  deadlineMs?: number;
  /** Time for one attempt: 6,000. It should exceed the servers' own limit of 5,000. */
  attemptTimeoutMs?: number;
  /**
   * Time for an attempt of the first round over all nodes, when the request may be sent again: 1,500. Each
   * further round gets twice as long, up to `attemptTimeoutMs`.
   */
  stallTimeoutMs?: number;
  /**
   * An event stream that hears nothing for this long moves to the next node: 5,000. Nodes are asked for
   * heartbeats three times as often, but for at most one a second.
   */
  silenceTimeoutMs?: number;
  /** Most attempts of a call; by default only the deadline limits them. */
  attemptsMax?: number;
  /** The first wait between attempts: 50. */
  backoffBaseMs?: number;
  /** The longest wait between attempts: 2,000. */
  backoffMaxMs?: number;
  /** The longest body of an answer in bytes: 32 MiB. */
  answerBytesMax?: number;
  /** Sends requests instead of the global `fetch`. */
  fetch?: typeof fetch;
}

/** Which orders to list. */
export interface OrderFilter {
  user_id?: number;
  status?: wire.OrderStatus;
  product_id?: number;
}

type Query = Record<string, string | number | undefined>;

const TIME_MAX_MS = 86_400_000;
const ORDERS_MAX = 1000;

/**
 * A client of one cluster.
 *
 * Every call ends within its deadline: with an `Answer`, or with `Rejected`, `NotApplied` or `Unknown`.
 */
export class Client {
  readonly #endpoints: Endpoints;
  readonly #transport: Transport;
  readonly #scope: Scope;

  /** Makes no connection before the first call. It asks the first URL, and the others when it fails. */
  constructor(urls: string | readonly string[], options?: ClientOptions);
  /** @internal */
  constructor(urls: Endpoints, options: Transport, scope: Scope);
  constructor(urls: string | readonly string[] | Endpoints, options: ClientOptions | Transport = {}, scope?: Scope) {
    if (urls instanceof Endpoints && options instanceof Transport && scope) {
      [this.#endpoints, this.#transport, this.#scope] = [urls, options, scope];
      return;
    }
    const given = options as ClientOptions;
    const settings: Settings = {
      deadlineMs: given.deadlineMs ?? 15_000,
      attemptTimeoutMs: given.attemptTimeoutMs ?? 6_000,
      stallTimeoutMs: given.stallTimeoutMs ?? 1_500,
      silenceTimeoutMs: given.silenceTimeoutMs ?? 5_000,
      backoffBaseMs: given.backoffBaseMs ?? 50,
      backoffMaxMs: given.backoffMaxMs ?? 2_000,
      attemptsMax: given.attemptsMax ?? Infinity,
    };
    check(settings);
    // Browsers refuse to call it as a method of another object.
    const fetcher: typeof fetch = given.fetch ?? ((input, init) => fetch(input, init));
    this.#endpoints = new Endpoints(urls as string | readonly string[]);
    this.#transport = new Transport(fetcher, given.answerBytesMax ?? 32 * 1024 * 1024);
    this.#scope = { settings, stale: false, token: given.token };
  }

  // Clones. They share what is known about the nodes.

  /** A clone whose calls differ in what is given. A trace id has 1 to 128 visible ASCII characters. */
  with(options: { deadlineMs?: number; attemptsMax?: number; traceId?: string; token?: string }): Client {
    const settings = { ...this.#scope.settings };
    if (options.deadlineMs !== undefined) settings.deadlineMs = options.deadlineMs;
    if (options.attemptsMax !== undefined) settings.attemptsMax = options.attemptsMax;
    check(settings);
    const { traceId = this.#scope.traceId, token = this.#scope.token } = options;
    if (traceId !== undefined && !/^[!-~]{1,128}$/.test(traceId)) {
      throw new RangeError("a trace id must be 1 to 128 visible ASCII characters");
    }
    return this.#clone({ settings, traceId, token });
  }

  /** A clone whose reads are answered at once from the state of the node that is asked. */
  stale(): Client {
    return this.#clone({ stale: true });
  }

  /** A clone that asks only the base URL with this index, from 0. */
  node(index: number): Client {
    this.#endpoints.url(index);
    return this.#clone({ node: index });
  }

  /**
   * A clone that reads its own writes: its reads, even stale ones and from any node, reflect at least what its
   * earlier answers reflected, and `position`, that of another process for example.
   */
  session(position = 0): Client {
    return this.#clone({ session: { position } });
  }

  /** The highest position that the session has seen; undefined outside of a session. */
  get position(): number | undefined {
    return this.#scope.session?.position;
  }

  // Orders.

  /**
   * Places an order of `items`, or of what a hold holds.
   *
   * Without a key the client makes one, so the order is placed at most once. The key is in the answer and in
   * the error.
   */
  createOrder(request: wire.OrderRequest): Promise<Answer<wire.Order>> {
    return this.#keyed("/orders", request);
  }

  /** Buys one product; the order in the answer contains the product after the sale. */
  purchase(request: wire.PurchaseRequest): Promise<Answer<wire.Order>> {
    return this.#keyed("/orders/purchase", request);
  }

  /**
   * Places 1 to 1,000 orders, each by itself, or with `atomic` all or none.
   *
   * An order without a key gets one. If the batch is not atomic, orders whose result says that a retry may
   * help are sent again under their keys until the deadline.
   */
  async placeBatch(
    orders: readonly wire.OrderRequest[],
    options: { atomic?: boolean } = {},
  ): Promise<Answer<wire.BatchResult[]>> {
    if (orders.length < 1 || orders.length > ORDERS_MAX) {
      throw new RangeError(`a batch must have 1 to ${ORDERS_MAX} orders, not ${orders.length}`);
    }
    const { settings } = this.#scope;
    const deadline = now() + settings.deadlineMs;
    const keyed = orders.map((order) => ({ ...order, idempotency_key: keyOf(order.idempotency_key) }));
    const answer = await this.#batch(keyed, options.atomic ?? false, deadline);
    for (;;) {
      const again = answer.data.flatMap((result, at) => (result.retryable === true ? [at] : []));
      const waitMs = backoffMs(answer.attempts - 1, settings);
      const late = now() + waitMs + ANSWER_TIME_MIN_MS > deadline;
      if (again.length === 0 || late || answer.attempts >= settings.attemptsMax) return answer;
      await sleep(waitMs);
      try {
        const rest = keyed.filter((_, at) => again.includes(at));
        const more = await this.#batch(rest, false, deadline);
        answer.attempts += more.attempts;
        more.data.forEach((result, place) => {
          const at = again[place] ?? 0;
          answer.data[at] = { ...result, index: at };
        });
      } catch (error) {
        // The results are worth more than the reason why a retry did not help.
        if (error instanceof HoldfastError) return answer;
        throw error;
      }
    }
  }

  /** Reads an order. */
  getOrder(orderId: number): Promise<Answer<wire.Order>> {
    return this.#read(`/orders/${orderId}`);
  }

  /** Iterates over all orders that match, newest first, `page_size` (200, at most 1,000) a request. */
  listOrders(filter: OrderFilter & { page_size?: number } = {}): AsyncGenerator<wire.Order, void> {
    const { page_size = 200, user_id, status, product_id } = filter;
    return this.#all("/orders", { user_id, status, product_id, limit: page_size }, "cursor");
  }

  /** Reads one page of orders, with exact counts in `meta`. */
  async ordersPage(filter: OrderFilter & { page?: number; per_page?: number } = {}): Promise<Page<wire.Order>> {
    const { page = 1, per_page, user_id, status, product_id } = filter;
    return this.#page("/orders", { user_id, status, product_id, page, per_page });
  }

  /** Reads the steps of an order, oldest first. */
  orderHistory(orderId: number): Promise<Answer<wire.OrderEvent[]>> {
    return this.#read(`/orders/${orderId}/events`);
  }

  /** Cancels a PENDING order. An order that is already cancelled is a success. */
  cancelOrder(orderId: number, request: wire.CancelRequest = {}): Promise<Answer<wire.Order>> {
    return this.#write("POST", `/orders/${orderId}/cancel`, "cancel", request);
  }

  /** Reads the state of a key: `applied` with its order, `fenced` or `unused`. Never stale. */
  orderByKey(key: string): Promise<Answer<wire.ByKey>> {
    return this.#clone({ stale: false }).#read(`/orders/by-key/${segment(keyOf(key))}`);
  }

  /** Resolves an unknown outcome: the key has an order, or never makes one from now on. */
  fenceKey(key: string): Promise<Answer<wire.ByKey>> {
    return this.#write("POST", `/orders/by-key/${segment(keyOf(key))}/fence`, "replace");
  }

  // Holds.

  /** Sets units aside until a deadline. */
  createHold(request: wire.HoldRequest): Promise<Answer<wire.Hold>> {
    return this.#keyed("/holds", request);
  }

  /** Reads a hold. */
  getHold(holdId: number): Promise<Answer<wire.Hold>> {
    return this.#read(`/holds/${holdId}`);
  }

  /** Extends an active hold to this many seconds from now. */
  extendHold(holdId: number, request: wire.ExtendRequest): Promise<Answer<wire.Hold>> {
    return this.#write("POST", `/holds/${holdId}/extend`, "replace", request);
  }

  /** Releases an active hold. A hold that was already released is a success. */
  releaseHold(holdId: number): Promise<Answer<undefined>> {
    return this.#write("DELETE", `/holds/${holdId}`, "cancel");
  }

  // Products.

  /** Creates a product. Takes no key, so it is not sent again after an unknown outcome. */
  createProduct(request: wire.ProductRequest): Promise<Answer<wire.Product>> {
    return this.#write("POST", "/products", "once", request);
  }

  /** Reads a product. An archived one is `not_found`. */
  getProduct(productId: number): Promise<Answer<wire.Product>> {
    return this.#read(`/products/${productId}`);
  }

  /** Iterates over all products, or those with these ids, by ascending id. */
  listProducts(filter: { ids?: readonly number[]; page_size?: number } = {}): AsyncGenerator<wire.Product, void> {
    return this.#all("/products", { ids: filter.ids?.join(","), limit: filter.page_size ?? 1000 }, "cursor");
  }

  /** Replaces all fields, if the product has the version `ifMatch`, or without it always. */
  replaceProduct(
    productId: number,
    request: wire.ProductRequest,
    options: { ifMatch?: number } = {},
  ): Promise<Answer<wire.Product>> {
    const repeat = options.ifMatch === undefined ? "replace" : "once";
    return this.#write("PUT", `/products/${productId}`, repeat, request, options.ifMatch);
  }

  /** Updates the given fields; null removes one. Not sent again after an unknown outcome. */
  patchProduct(
    productId: number,
    patch: wire.ProductPatch,
    options: { ifMatch?: number } = {},
  ): Promise<Answer<wire.Product>> {
    return this.#write("PATCH", `/products/${productId}`, "once", patch, options.ifMatch);
  }

  /** Archives a product. Open orders still settle. Not sent again after an unknown outcome. */
  archiveProduct(productId: number, options: { ifMatch?: number } = {}): Promise<Answer<undefined>> {
    return this.#write("DELETE", `/products/${productId}`, "once", undefined, options.ifMatch);
  }

  /** Adds `delta` units, or sets the units that can be sold; with `expected` only from that number. */
  adjustStock(productId: number, request: wire.AdjustmentRequest): Promise<Answer<wire.Adjustment>> {
    return this.#keyed(`/products/${productId}/adjustments`, request);
  }

  /** Iterates over the movements of a product's units, oldest first. */
  listLedger(
    productId: number,
    options: { after?: string; page_size?: number } = {},
  ): AsyncGenerator<wire.LedgerRow, void> {
    const query = { limit: options.page_size ?? 200, after: options.after };
    return this.#all(`/products/${productId}/ledger`, query, "after");
  }

  // Users and payments.

  /** Creates a user. Takes no key, so it is not sent again after an unknown outcome. */
  createUser(request: wire.UserRequest): Promise<Answer<wire.User>> {
    return this.#write("POST", "/users", "once", request);
  }

  /** Reads a user. */
  getUser(userId: number): Promise<Answer<wire.User>> {
    return this.#read(`/users/${userId}`);
  }

  /**
   * Reports the result of a payment, signed with each of `secrets`.
   *
   * The provider's key makes it safe to repeat. Only `holdfast dev` takes reports without a signature.
   */
  async sendWebhook(
    request: wire.WebhookRequest & { idempotency_key: string },
    options: { secrets?: readonly string[] } = {},
  ): Promise<Answer<wire.WebhookReceipt>> {
    const key = keyOf(request.idempotency_key);
    const body = JSON.stringify(request);
    const { secrets = [] } = options;
    const headers = secrets.length > 0 ? { [SIGNATURE_HEADER]: await signWebhook(body, secrets) } : {};
    const path = "/api/v1/payments/webhook";
    return this.#run({ method: "POST", path, repeat: "keyed", body, key, headers, decode: dataOf<wire.WebhookReceipt> });
  }

  // Events.

  /**
   * Subscribes to events: `for await (const event of client.events({ types: ["order.*"] })) …`
   *
   * `types` are names such as `order.paid` or families such as `order.*`. `after` is the `lastId` of an earlier
   * stream; `0.0` begins with the oldest event. By default the stream begins when it is opened.
   */
  events(
    filter: { types?: readonly string[]; user_id?: number; product_id?: number; after?: string } = {},
  ): EventStream {
    const { types = [], user_id, product_id, after } = filter;
    const seconds = Math.floor(this.#scope.settings.silenceTimeoutMs / 3_000);
    const heartbeat_seconds = Math.min(Math.max(seconds, 1), 60);
    const query = { user_id, product_id, types: types.join(",") || undefined, heartbeat_seconds };
    const path = withQuery("/api/v1/events", query);
    return new EventStream(this.#scope, this.#endpoints, this.#transport, path, after);
  }

  // Nodes. Reads describe the node that is asked: see `node`.

  /** Reads the state of a node. A degraded node is an answer too, with status 503. */
  health(): Promise<Answer<wire.Health>> {
    return this.#run({ method: "GET", path: "/health", repeat: "read", alsoAnswers: 503, decode: bare<wire.Health> });
  }

  /** Reads whether a node can serve. A node that says no is an answer too, with status 503. */
  ready(): Promise<Answer<wire.Probe>> {
    return this.#run({ method: "GET", path: "/readyz", repeat: "read", alsoAnswers: 503, decode: bare<wire.Probe> });
  }

  /** Reads the members as the node knows them. It needs no majority. */
  cluster(): Promise<Answer<wire.Cluster>> {
    return this.#read("/cluster");
  }

  /** Adds a node, which gets a vote once it has caught up. Safe to repeat. */
  addMember(request: wire.MemberRequest): Promise<Answer<wire.MemberAdded>> {
    return this.#write("POST", "/cluster/members", "replace", request);
  }

  /** Removes a member for good. Safe to repeat. */
  removeMember(memberId: number): Promise<Answer<wire.Cluster>> {
    return this.#write("DELETE", `/cluster/members/${memberId}`, "replace");
  }

  /** Transfers leadership to this voter, or to the best other one. */
  transferLeader(request: wire.TransferRequest = {}): Promise<Answer<wire.Cluster>> {
    return this.#write("POST", "/cluster/transfer-leader", "replace", request);
  }

  /** Pauses or resumes payments on all nodes. */
  setPayments(request: wire.PaymentsRequest): Promise<Answer<wire.Cluster>> {
    return this.#write("POST", "/cluster/payments", "replace", request);
  }

  /** Takes a snapshot of what the answering node has applied. */
  takeSnapshot(): Promise<Answer<wire.Snapshot>> {
    return this.#write("POST", "/cluster/snapshot", "replace");
  }

  // What the methods above share.

  #clone(change: Partial<Scope>): Client {
    return new Client(this.#endpoints, this.#transport, { ...this.#scope, ...change });
  }

  #run<T>(call: Call<T>, deadline?: number): Promise<Answer<T>> {
    return run(call, this.#scope, this.#endpoints, this.#transport, deadline);
  }

  #read<T>(path: string): Promise<Answer<T>> {
    return this.#run({ method: "GET", path: `/api/v1${path}`, repeat: "read", decode: dataOf<T> });
  }

  #write<T>(method: string, path: string, repeat: Repeat, body?: object, ifMatch?: number): Promise<Answer<T>> {
    const call: Call<T> = { method, path: `/api/v1${path}`, repeat, decode: dataOf<T> };
    if (body !== undefined) call.body = JSON.stringify(body);
    if (ifMatch !== undefined) call.headers = { "If-Match": `"${ifMatch}"` };
    return this.#run(call);
  }

  async #keyed<T>(path: string, request: { idempotency_key?: string | null }): Promise<Answer<T>> {
    const key = keyOf(request.idempotency_key);
    const body = JSON.stringify({ ...request, idempotency_key: key });
    return this.#run({ method: "POST", path: `/api/v1${path}`, repeat: "keyed", body, key, decode: dataOf<T> });
  }

  async #page<T>(path: string, query: Query): Promise<Page<T>> {
    const decode = (content: Content): T[] => {
      const meta = content["meta"] as wire.CursorMeta | undefined;
      if (!Array.isArray(content["data"]) || meta?.next_cursor === undefined) {
        throw new Error("it is not a page of a list");
      }
      return content["data"] as T[];
    };
    const path_ = withQuery(`/api/v1${path}`, query);
    return (await this.#run({ method: "GET", path: path_, repeat: "read", decode })) as Page<T>;
  }

  async *#all<T>(path: string, query: Query, cursor: string): AsyncGenerator<T, void> {
    for (let next: string | null | undefined; ; ) {
      const page: Page<T> = await this.#page<T>(path, next ? { ...query, [cursor]: next } : query);
      yield* page.data;
      next = page.meta.next_cursor;
      if (!next) return;
    }
  }

  #batch(orders: readonly wire.OrderRequest[], atomic: boolean, deadline: number): Promise<Answer<wire.BatchResult[]>> {
    const decode = (content: Content): wire.BatchResult[] => {
      const results = dataOf<wire.BatchResult[]>(content);
      if (results.length !== orders.length || results.some((result, at) => result.index !== at)) {
        throw new Error(`it has not one result for each of ${orders.length} orders`);
      }
      return results;
    };
    const body = JSON.stringify({ atomic, orders });
    return this.#run({ method: "POST", path: "/api/v1/orders/batch", repeat: "keyed", body, decode }, deadline);
  }
}

function check(settings: Settings): void {
  for (const [name, value] of Object.entries(settings)) {
    const max = name === "attemptsMax" ? Infinity : TIME_MAX_MS;
    if (!(value > 0 && value <= max)) throw new RangeError(`${name} must be above 0 and at most ${max}, not ${value}`);
  }
}

function dataOf<T>(content: Content): T {
  const data = content["data"];
  if (typeof data !== "object" || data === null) throw new Error("its data is neither an object nor a list");
  return data as T;
}

function bare<T>(content: Content): T {
  return content as T;
}

function keyOf(key: string | null | undefined): string {
  if (key === null || key === undefined) return uuid();
  const length = Array.from(key).length;
  if (length < 1 || length > 255) {
    throw new RangeError(`an idempotency key must have 1 to 255 characters, not ${length}`);
  }
  return key;
}

function segment(text: string): string {
  // `fetch` takes these for a relative path, also when they are encoded.
  if (text === "." || text === "..") throw new RangeError(`the key "${text}" cannot be part of a URL`);
  return encodeURIComponent(text).replace(/[!'()*]/g, hex);
}

function withQuery(path: string, query: Query): string {
  const parts = Object.entries(query).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}=${encodeURIComponent(value).replace(/[!'()*]/g, hex)}`],
  );
  return parts.length > 0 ? `${path}?${parts.join("&")}` : path;
}

function hex(letter: string): string {
  return `%${letter.charCodeAt(0).toString(16).toUpperCase()}`;
}
