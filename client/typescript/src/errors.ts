/** Why a call did not succeed. The class says what is known about its effect. */

import type { Outcome, Problem } from "./wire.js";

/** How a failed call went. */
export interface ErrorDetails {
  status?: number | undefined;
  problem?: Problem | undefined;
  traceId: string;
  idempotencyKey?: string | undefined;
  attempts: number;
  url: string;
}

/** A call that failed: always `Rejected`, `NotApplied` or `Unknown`. */
export abstract class HoldfastError extends Error {
  /** `rejected`, `not_applied` or `unknown`. */
  abstract readonly outcome: Outcome;
  /** What went wrong in the last attempt, with which value. */
  readonly detail: string;
  /** The HTTP status of the last answer; undefined when the last attempt got none. */
  readonly status: number | undefined;
  /** The whole error of the server, if it sent one. */
  readonly problem: Problem | undefined;
  /** The error code, such as `insufficient_stock`; undefined without a problem. */
  readonly code: string | undefined;
  /** For `validation_error`: what is wrong, by field. */
  readonly errors: Record<string, string[]> | undefined;
  /** The id under which the servers log the request. */
  readonly traceId: string;
  /** The key of the call: send the request again with it to learn an unknown outcome. */
  readonly idempotencyKey: string | undefined;
  /** Attempts made, at least 1. */
  readonly attempts: number;
  /** The base URL of the last attempt. */
  readonly url: string;

  constructor(outcome: string, detail: string, details: ErrorDetails) {
    const code = details.problem?.error;
    const plural = details.attempts === 1 ? "" : "s";
    super(`${outcome} after ${details.attempts} attempt${plural}: ${code ? `${code}: ` : ""}${detail}`);
    this.detail = detail;
    this.status = details.status;
    this.problem = details.problem;
    this.code = code;
    this.errors = details.problem?.errors ?? undefined;
    this.traceId = details.traceId;
    this.idempotencyKey = details.idempotencyKey;
    this.attempts = details.attempts;
    this.url = details.url;
  }
}

/** The server refused the request: no attempt of the call has or will have an effect. */
export class Rejected extends HoldfastError {
  override readonly name: string = "Rejected";
  override readonly outcome = "rejected";

  constructor(detail: string, details: ErrorDetails) {
    super("rejected", detail, details);
  }
}

/** The events to resume after are no longer all retained: read the current state, then subscribe anew. */
export class EventsGone extends Rejected {
  override readonly name: string = "EventsGone";
}

/** The request certainly has no effect, but was not refused: it may be sent again. */
export class NotApplied extends HoldfastError {
  override readonly name: string = "NotApplied";
  override readonly outcome = "not_applied";

  constructor(detail: string, details: ErrorDetails) {
    super("not_applied", detail, details);
  }
}

/**
 * The request may have taken effect, or still may. Send it again with `idempotencyKey`, or look that key up
 * with `Client.orderByKey`.
 */
export class Unknown extends HoldfastError {
  override readonly name: string = "Unknown";
  override readonly outcome = "unknown";

  constructor(detail: string, details: ErrorDetails) {
    super("unknown", detail, details);
  }
}

/** A webhook's signature is missing, malformed, wrong or too old. */
export class InvalidSignature extends Error {
  override readonly name = "InvalidSignature";
}
