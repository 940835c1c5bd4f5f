/** One attempt: one HTTP request to one node, bounded in time and bytes. It follows no redirect. */

/** Codes of Node for a connection that was never made, so nothing was sent. Browsers do not say so. */
const NEVER_CONNECTED = new Set([
  "ECONNREFUSED", "EAI_AGAIN", "EHOSTUNREACH", "ENETUNREACH", "ENOTFOUND", "UND_ERR_CONNECT_TIMEOUT",
]);

export type FailureKind = "connect" | "broken" | "timeout" | "too_large";

/** No complete answer came. With `connect`, nothing was sent. */
export class AttemptFailed extends Error {
  constructor(
    readonly kind: FailureKind,
    message: string,
  ) {
    super(message);
  }
}

/** What an attempt sends. */
export interface Request {
  method: string;
  path: string;
  headers: Record<string, string>;
  body?: string | undefined;
}

/** An answer whose body is complete. */
export interface Answered {
  status: number;
  headers: Headers;
  body: string;
}

/** An answer whose body is still coming; `stop` ends it. */
export interface Opened {
  response: Response;
  stop: () => void;
}

/** Sends requests by `fetch`. */
export class Transport {
  readonly #fetch: typeof fetch;
  readonly #answerBytesMax: number;

  constructor(fetcher: typeof fetch, answerBytesMax: number) {
    this.#fetch = fetcher;
    this.#answerBytesMax = answerBytesMax;
  }

  /** Sends a request and reads the whole answer within `withinMs`. */
  async send(url: string, request: Request, withinMs: number): Promise<Answered> {
    return this.#within(url, withinMs, async (abort) => {
      const response = await this.#start(url, request, abort);
      const body = await this.#read(url, response);
      return { status: response.status, headers: response.headers, body };
    });
  }

  /** Sends a request and waits up to `withinMs` for the head of an answer without an end. */
  async open(url: string, request: Request, withinMs: number): Promise<Opened> {
    return this.#within(url, withinMs, async (abort) => {
      const response = await this.#start(url, request, abort);
      return { response, stop: () => abort.abort() };
    });
  }

  async #within<T>(url: string, withinMs: number, work: (abort: AbortController) => Promise<T>): Promise<T> {
    const abort = new AbortController();
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      abort.abort();
    }, withinMs);
    try {
      return await work(abort);
    } catch (error) {
      abort.abort();
      if (late) throw new AttemptFailed("timeout", `no answer from ${url} within ${Math.round(withinMs)} ms`);
      throw error instanceof AttemptFailed ? error : failed(url, error);
    } finally {
      clearTimeout(timer);
    }
  }

  #start(url: string, request: Request, abort: AbortController): Promise<Response> {
    const fetcher = this.#fetch;
    return fetcher(url + request.path, {
      method: request.method,
      headers: request.headers,
      signal: abort.signal,
      redirect: "manual",
      cache: "no-store",
      ...(request.body === undefined ? {} : { body: request.body }),
    });
  }

  async #read(url: string, response: Response): Promise<string> {
    if (!response.body) return "";
    const decoder = new TextDecoder();
    const reader = response.body.getReader();
    let text = "";
    let bytes = 0;
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return text + decoder.decode();
      bytes += value.length;
      if (bytes > this.#answerBytesMax) {
        throw new AttemptFailed("too_large", `an answer from ${url} is longer than ${this.#answerBytesMax} bytes`);
      }
      text += decoder.decode(value, { stream: true });
    }
  }
}

/** The failure behind an error of `fetch`. */
export function failed(url: string, error: unknown): AttemptFailed {
  const cause = (error as { cause?: { code?: string; message?: string } }).cause;
  const reason = cause?.message || cause?.code || (error as Error).message;
  if (cause?.code !== undefined && NEVER_CONNECTED.has(cause.code)) {
    return new AttemptFailed("connect", `cannot connect to ${url}: ${reason}`);
  }
  return new AttemptFailed("broken", `the connection to ${url} broke: ${reason}`);
}
