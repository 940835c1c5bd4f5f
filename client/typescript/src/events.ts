/** Subscribing to events: a stream from one node, resumed at another when it breaks. */

import { type Failure, type Scope, backoffMs, errorOf, note, now, onTheWay, refusal, requestOf, sleep, waitAfter } from "./call.js";
import type { Endpoints } from "./endpoints.js";
import { AttemptFailed, type Opened, type Transport, failed } from "./transport.js";
import type { Event } from "./wire.js";

/** The longest block of a stream, in characters. */
const BLOCK_LENGTH_MAX = 256 * 1024;

interface Block {
  id: string | undefined;
  data: string;
}

/**
 * Events as they happen, from whichever node answers: `for await (const event of client.events()) …`.
 *
 * When the stream breaks or falls silent, it resumes at another node after the last returned event: no event
 * is missing and none is duplicated. `next` throws `EventsGone` when the next events are no longer retained,
 * and `NotApplied` when no node answers within the deadline of a call; iterate again to go on.
 */
export class EventStream implements AsyncIterableIterator<Event> {
  /**
   * The id to resume after: that of the last returned event, else of the stream's beginning. Store it, and give
   * it as `after` to a later stream, even in another process.
   */
  lastId: string | undefined;

  readonly #scope: Scope;
  readonly #endpoints: Endpoints;
  readonly #transport: Transport;
  readonly #path: string;
  #index: number;
  #open: { stop: () => void; blocks: AsyncGenerator<Block> } | undefined;
  #first: Event | undefined;
  #breaks = 0;
  #closed = false;

  constructor(scope: Scope, endpoints: Endpoints, transport: Transport, path: string, after: string | undefined) {
    this.#scope = scope;
    this.#endpoints = endpoints;
    this.#transport = transport;
    this.#path = path;
    this.lastId = after;
    this.#index = scope.node ?? endpoints.first(now());
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** The next event; waits until there is one. Call it again only when it has answered. */
  async next(): Promise<IteratorResult<Event, undefined>> {
    this.#closed = false;
    for (;;) {
      await this.open();
      if (this.#closed) return { done: true, value: undefined };
      const value = this.#first ?? (await this.#block());
      this.#first = undefined;
      if (value !== undefined) return { done: false, value };
    }
  }

  /** Ends the stream, as the end of a `for await` loop does. Iterating again resumes it. */
  async return(): Promise<IteratorResult<Event, undefined>> {
    this.close();
    return { done: true, value: undefined };
  }

  /** Opens the stream, unless it is open: it returns all events from then on. */
  async open(): Promise<void> {
    while (!this.#open && !this.#closed) {
      const { response, stop } = await this.#connect();
      const { silenceTimeoutMs } = this.#scope.settings;
      this.#open = { stop, blocks: blocksOf(response, silenceTimeoutMs) };
      // The block with the id at which the stream begins comes first, though a proxy may add comments before it.
      while (this.#open && this.lastId === undefined) this.#first = await this.#block();
    }
  }

  /** Ends the stream: a pending `next` answers that it is done. Iterating again resumes it. */
  close(): void {
    this.#closed = true;
    this.#open?.stop();
    this.#open = undefined;
  }

  /** The event of the next block, if it has one. Ends a broken stream. */
  async #block(): Promise<Event | undefined> {
    try {
      const { done, value } = (await this.#open?.blocks.next()) ?? { done: true, value: undefined };
      if (done || !value) throw new Error("the stream ended");
      const event = value.data === "" ? undefined : (JSON.parse(value.data) as Event);
      this.#breaks = 0;
      this.lastId = value.id ?? this.lastId;
      return event;
    } catch {
      if (!this.#closed) await this.#broken();
      return undefined;
    }
  }

  async #connect(): Promise<Opened> {
    const { settings, node } = this.#scope;
    const deadline = now() + settings.deadlineMs;
    const count = node === undefined ? this.#endpoints.urls.length : 1;
    const call = { method: "GET", path: this.#path, repeat: "read" as const, decode: () => undefined };
    const { request, traceId } = requestOf(call, this.#scope, "text/event-stream");
    if (this.lastId !== undefined) request.headers["Last-Event-ID"] = this.lastId;
    for (let attempts = 1; ; attempts += 1) {
      const url = this.#endpoints.url(this.#index);
      const limitMs = count > 1 ? settings.stallTimeoutMs : settings.attemptTimeoutMs;
      let failure: Failure;
      try {
        const opened = await this.#transport.open(url, request, limitMs);
        const { status, headers } = opened.response;
        if (status === 200 && (headers.get("Content-Type") ?? "").startsWith("text/event-stream")) {
          this.#endpoints.works(this.#index);
          return opened;
        }
        const timer = setTimeout(opened.stop, limitMs);
        try {
          failure = refusal({ status, headers, body: await opened.response.text() }, url);
        } catch (error) {
          failure = onTheWay(failed(url, error));
        } finally {
          clearTimeout(timer);
        }
      } catch (error) {
        if (!(error instanceof AttemptFailed)) throw error;
        failure = onTheWay(error);
      }
      note(this.#endpoints, this.#index, failure);
      const waitMs = waitAfter("read", failure, attempts, count, deadline - now(), settings);
      if (waitMs === undefined) {
        const outcome = failure.outcome === "rejected" ? "rejected" : "not_applied";
        throw errorOf(outcome, failure, undefined, traceId, attempts, url);
      }
      if (waitMs > 0) await sleep(waitMs);
      this.#moveOn();
    }
  }

  async #broken(): Promise<void> {
    this.#open?.stop();
    this.#open = undefined;
    this.#endpoints.failed(this.#index, false, now());
    if (this.#breaks > 0) await sleep(backoffMs(this.#breaks - 1, this.#scope.settings));
    this.#breaks += 1;
    this.#moveOn();
  }

  #moveOn(): void {
    if (this.#scope.node === undefined) this.#index = this.#endpoints.nextAfter(this.#index, now());
  }
}

/** The blocks of a stream until it ends, is silent for too long, or sends one that is too long. */
async function* blocksOf(response: Response, silenceTimeoutMs: number): AsyncGenerator<Block> {
  if (!response.body) return;
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  let text = "";
  for (;;) {
    for (let end = /\r?\n\r?\n/.exec(text); end; end = /\r?\n\r?\n/.exec(text)) {
      yield blockOf(text.slice(0, end.index));
      text = text.slice(end.index + end[0].length);
    }
    if (text.length > BLOCK_LENGTH_MAX) return;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const silent = new Promise<undefined>((resolve) => {
      timer = setTimeout(() => resolve(undefined), silenceTimeoutMs);
    });
    try {
      const read = await Promise.race([reader.read(), silent]);
      if (!read || read.done) return;
      text += decoder.decode(read.value, { stream: true });
    } finally {
      clearTimeout(timer);
    }
  }
}

function blockOf(text: string): Block {
  const block: Block = { id: undefined, data: "" };
  const data: string[] = [];
  for (const line of text.split(/\r?\n/)) {
    const at = line.indexOf(":");
    const name = at < 0 ? line : line.slice(0, at);
    const value = at < 0 ? "" : line.slice(at + 1).replace(/^ /, "");
    if (name === "id") block.id = value;
    if (name === "data") data.push(value);
  }
  block.data = data.join("\n");
  return block;
}
