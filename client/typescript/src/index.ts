/**
 * Client of a Holdfast cluster.
 *
 * `Client` retries where that is safe, at another node if there is one, until a deadline. Every error says
 * what is known about the effect: `Rejected`, `NotApplied` or `Unknown`.
 */

export type { Answer } from "./call.js";
export { Client, type ClientOptions, type OrderFilter, type Page } from "./client.js";
export { EventsGone, HoldfastError, InvalidSignature, NotApplied, Rejected, Unknown } from "./errors.js";
export { EventStream } from "./events.js";
export { SIGNATURE_HEADER, signWebhook, verifyWebhook } from "./webhooks.js";
export type * from "./wire.js";
