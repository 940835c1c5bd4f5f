/** A call: one request of the caller with all its attempts, until it succeeds, is refused or runs out of time. */

import type { Endpoints } from "./endpoints.js";
import { EventsGone, type HoldfastError, NotApplied, Rejected, Unknown } from "./errors.js";
import { AttemptFailed, type Answered, type Request, type Transport } from "./transport.js";
import type { Problem } from "./wire.js";

/**
 * What a second request does. `read`: nothing. `keyed`: nothing more, thanks to the idempotency key.
 * `cancel`: finds the order cancelled or the hold released, and succeeds. `replace`: writes the same values
 * again. `once`: may take effect twice, or be refused because of the first.
 */
export type Repeat = "read" | "keyed" | "cancel" | "replace" | "once";

type Outcome = "rejected" | "not_applied" | "unknown";

/** The least time before the deadline at which another attempt starts, in milliseconds. */
export const ANSWER_TIME_MIN_MS = 10;

/** Refusals that hold for every earlier attempt too, by what a second request does. */
const SETTLING: Partial<Record<Repeat, readonly string[]>> = {
  keyed: ["key_fenced", "idempotency_key_reused"],
  cancel: ["order_not_cancellable", "hold_expired", "hold_consumed"],
};

/** What bounds a call; see `ClientOptions`. */
export interface Settings {
  deadlineMs: number;
  attemptTimeoutMs: number;
  stallTimeoutMs: number;
  silenceTimeoutMs: number;
  backoffBaseMs: number;
  backoffMaxMs: number;
  attemptsMax: number;
}

/** What the clones of a client do not share. */
export interface Scope {
  settings: Settings;
  stale: boolean;
  traceId?: string | undefined;
  token?: string | undefined;
  node?: number | undefined;
  session?: { position: number } | undefined;
}

/** What to send, the same in every attempt. */
export interface Call<T> {
  method: string;
  path: string;
  repeat: Repeat;
  body?: string;
  key?: string;
  headers?: Record<string, string>;
  alsoAnswers?: number;
  decode: (content: Content) => T;
}

/** The JSON object of a success. */
export type Content = Record<string, unknown>;

/** The data of a successful answer, and how the call went. */
export interface Answer<T> {
  data: T;
  /** The HTTP status. */
  status: number;
  /** Whether an earlier request under the key had the effect; this answer repeats its result. */
  replayed: boolean;
  /** The position that the answer reflects: see `Client.session`. */
  position: number | undefined;
  /** The id under which the servers log the request. */
  traceId: string;
  /** The key of the call: the caller's, or one that the client made. */
  idempotencyKey: string | undefined;
  /** Attempts made, at least 1. */
  attempts: number;
  /** The base URL that answered. */
  url: string;
}

/** One failed attempt. */
export interface Failure {
  outcome: Outcome;
  detail: string;
  retryable: boolean;
  unreachable?: boolean;
  unreadable?: boolean;
  status?: number;
  retryAfterMs?: number;
  problem?: Problem | undefined;
}

/** Milliseconds of a clock that never goes back. */
export const now = (): number => performance.now();

/** Waits this many milliseconds. */
export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Executes the call until `deadline` on the clock of `now`. */
export async function run<T>(
  call: Call<T>,
  scope: Scope,
  endpoints: Endpoints,
  transport: Transport,
  deadline = now() + scope.settings.deadlineMs,
): Promise<Answer<T>> {
  const { settings } = scope;
  const { request, traceId } = requestOf(call, scope);
  const count = scope.node === undefined ? endpoints.urls.length : 1;
  let index = scope.node ?? endpoints.first(now());
  let doubt = false;
  for (let attempts = 1; ; attempts += 1) {
    const url = endpoints.url(index);
    const withinMs = Math.min(attemptMs(call.repeat, attempts, count, settings), deadline - now());
    let failure: Failure;
    try {
      const answered = await transport.send(url, request, Math.max(withinMs, 1));
      const judged = judge(call, scope, url, answered, traceId, attempts);
      if ("data" in judged) {
        endpoints.works(index);
        return judged;
      }
      failure = judged;
    } catch (error) {
      if (!(error instanceof AttemptFailed)) throw error;
      failure = onTheWay(error);
    }
    note(endpoints, index, failure);
    const waitMs = waitAfter(call.repeat, failure, attempts, count, deadline - now(), settings);
    if (waitMs === undefined) {
      throw errorOf(outcomeOf(call.repeat, failure, doubt), failure, call.key, traceId, attempts, url);
    }
    doubt ||= failure.outcome === "unknown";
    if (waitMs > 0) await sleep(waitMs);
    if (scope.node === undefined) index = endpoints.nextAfter(index, now());
  }
}

/** The error of a call whose last attempt failed so. */
export function errorOf(
  outcome: Outcome,
  failure: Failure,
  idempotencyKey: string | undefined,
  traceId: string,
  attempts: number,
  url: string,
): HoldfastError {
  const { status, problem } = failure;
  const details = { status, problem, traceId: problem?.trace_id || traceId, idempotencyKey, attempts, url };
  if (problem?.error === "events_gone") return new EventsGone(failure.detail, details);
  const kind = { rejected: Rejected, not_applied: NotApplied, unknown: Unknown }[outcome];
  return new kind(failure.detail, details);
}

/** What every attempt sends, and the trace id in it. */
export function requestOf<T>(
  call: Call<T>,
  scope: Scope,
  accept = "application/json",
): { request: Request; traceId: string } {
  const traceId = scope.traceId ?? uuid();
  const headers: Record<string, string> = { Accept: accept, "X-Trace-Id": traceId, ...call.headers };
  if (call.body !== undefined) headers["Content-Type"] = "application/json";
  if (scope.token !== undefined) headers["Authorization"] = `Bearer ${scope.token}`;
  if (call.repeat === "read") {
    if (scope.stale) headers["X-Consistency"] = "stale";
    if (scope.session && scope.session.position > 0) headers["X-Min-Position"] = String(scope.session.position);
  }
  return { request: { method: call.method, path: call.path, headers, body: call.body }, traceId };
}

/** A random UUID. Unlike `crypto.randomUUID`, it works in pages without TLS too. */
export function uuid(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

function judge<T>(
  call: Call<T>,
  scope: Scope,
  url: string,
  answered: Answered,
  traceId: string,
  attempts: number,
): Answer<T> | Failure {
  const { status, headers, body } = answered;
  const position = positionOf(headers.get("X-Position"));
  if (scope.session && position !== undefined) {
    scope.session.position = Math.max(scope.session.position, position);
  }
  const isProblem = (headers.get("Content-Type") ?? "").startsWith("application/problem+json");
  if (isProblem || !((status >= 200 && status < 300) || status === call.alsoAnswers)) {
    return refusal(answered, url);
  }
  let content: Content;
  let data: T;
  try {
    content = status === 204 ? {} : (JSON.parse(body) as Content);
    if (!isObject(content) || (content["success"] ?? true) !== true) {
      throw new Error("the body is not that of a success");
    }
    data = status === 204 ? (undefined as T) : call.decode(content);
  } catch (error) {
    // Something took the request: it may have taken effect.
    const detail = `status ${status} from ${url} with an unreadable body: ${(error as Error).message}`;
    return { outcome: "unknown", detail, retryable: true, status, unreadable: true };
  }
  const answer: Answer<T> = {
    data,
    status,
    replayed: headers.get("Idempotent-Replayed") === "true",
    position,
    traceId: headers.get("X-Trace-Id") ?? traceId,
    idempotencyKey: call.key,
    attempts,
    url,
  };
  return "meta" in content ? Object.assign(answer, { meta: content["meta"] }) : answer;
}

/**
 * Judges an answer that is not a success.
 *
 * A problem knows its outcome. Without one, the answer may come from something between client and server,
 * which cannot know the effect. Then only a status that refuses the request is certain.
 */
export function refusal(answered: Answered, url: string): Failure {
  const { status, headers, body } = answered;
  const problem = problemOf(status, body);
  const after = (headers.get("Retry-After") ?? "").trim();
  // The form with a date is ignored: it would need the server's clock.
  let retryAfterMs = /^[0-9]+$/.test(after) ? Number(after) * 1000 : 0;
  if (!problem) {
    const refused = status >= 400 && status < 500 ? "rejected" : "unknown";
    const outcome = status === 408 || status === 429 ? "not_applied" : refused;
    const detail = `status ${status} from ${url} without a readable problem`;
    return { outcome, detail, retryable: true, status, retryAfterMs };
  }
  if (after === "" && typeof problem.retry_after === "number") retryAfterMs = problem.retry_after * 1000;
  return {
    // 504 means unknown, whatever else the body says.
    outcome: status === 504 ? "unknown" : (problem.outcome as Outcome),
    detail: problem.detail || problem.error,
    retryable: problem.retryable === true,
    status,
    retryAfterMs,
    problem,
  };
}

/** The failure of an attempt that got no complete answer. */
export function onTheWay(error: AttemptFailed): Failure {
  return {
    outcome: error.kind === "connect" ? "not_applied" : "unknown",
    detail: error.message,
    // The answer to a retry would be as long.
    retryable: error.kind !== "too_large",
    unreachable: error.kind !== "too_large",
  };
}

/** Records what a failed attempt says about its node. */
export function note(endpoints: Endpoints, index: number, failure: Failure): void {
  if (failure.outcome === "rejected" && failure.problem) endpoints.works(index);
  else endpoints.failed(index, failure.unreachable === true, now());
}

/** Milliseconds to wait before the next attempt; undefined when there is to be none. */
export function waitAfter(
  repeat: Repeat,
  failure: Failure,
  attempts: number,
  count: number,
  leftMs: number,
  settings: Settings,
): number | undefined {
  const mayRepeat =
    failure.outcome === "not_applied" ||
    // A server that took the request and whose answer is lost is asked again under the key only.
    (failure.outcome === "unknown" && (failure.unreadable ? repeat === "read" || repeat === "keyed" : repeat !== "once"));
  if (!failure.retryable || !mayRepeat || attempts >= settings.attemptsMax) return undefined;
  // An unreachable node says nothing about the others: ask those at once.
  const atOnce = failure.unreachable === true && attempts < count;
  const waitMs = Math.max(atOnce ? 0 : backoffMs(attempts - 1, settings), failure.retryAfterMs ?? 0);
  return waitMs + ANSWER_TIME_MIN_MS <= leftMs ? waitMs : undefined;
}

/** The wait before retry number `retry`, from 0, at random in the upper half of its range. */
export function backoffMs(retry: number, settings: Settings): number {
  const top = Math.min(settings.backoffBaseMs * 2 ** Math.min(retry, 31), settings.backoffMaxMs);
  return (top / 2) * (1 + Math.random());
}

/**
 * The time limit of an attempt.
 *
 * A stalled node must not cost much while others can be asked: the first round over all nodes is short, and
 * each further one twice as long. A write that cannot be repeated gets all the time.
 */
function attemptMs(repeat: Repeat, attempts: number, count: number, settings: Settings): number {
  if (repeat === "once" || count === 1) return settings.attemptTimeoutMs;
  const round = Math.min(Math.floor((attempts - 1) / count), 31);
  return Math.min(settings.stallTimeoutMs * 2 ** round, settings.attemptTimeoutMs);
}

/** The outcome of a call. With `doubt`, the outcome of an earlier attempt is unknown. */
function outcomeOf(repeat: Repeat, last: Failure, doubt: boolean): Outcome {
  if (repeat === "read") return last.outcome === "rejected" ? "rejected" : "not_applied";
  const settled = last.problem !== undefined && SETTLING[repeat]?.includes(last.problem.error) === true;
  return doubt && !settled ? "unknown" : last.outcome;
}

function problemOf(status: number, body: string): Problem | undefined {
  let problem: Record<string, unknown>;
  try {
    problem = JSON.parse(body) as Record<string, unknown>;
  } catch {
    return undefined;
  }
  const sound =
    isObject(problem) &&
    problem["status"] === status &&
    typeof problem["error"] === "string" &&
    ["rejected", "not_applied", "unknown"].includes(String(problem["outcome"])) &&
    !problem["success"];
  return sound ? (problem as unknown as Problem) : undefined;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function positionOf(text: string | null): number | undefined {
  const position = text !== null && /^[0-9]{1,16}$/.test(text) ? Number(text) : undefined;
  return position !== undefined && position < 2 ** 53 ? position : undefined;
}
