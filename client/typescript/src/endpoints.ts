/** Which base URL to ask. Any node takes any request, so the client stays with one that works. */

/** How long an unreachable node is skipped while others can be asked, in milliseconds. */
const SKIPPED_MS = 1000;

/** The base URLs, in the given order. */
export class Endpoints {
  readonly urls: readonly string[];
  readonly #downUntil: number[];
  #preferred = 0;

  constructor(urls: string | readonly string[]) {
    const given = typeof urls === "string" ? [urls] : urls;
    if (given.length < 1 || given.length > 64) {
      throw new RangeError(`a client needs 1 to 64 base URLs, ${given.length} were given`);
    }
    this.urls = given.map(baseUrl);
    this.#downUntil = this.urls.map(() => 0);
  }

  /** The URL with this index, from 0. */
  url(index: number): string {
    const url = this.urls[index];
    if (url === undefined) throw new RangeError(`there is no base URL ${index}`);
    return url;
  }

  /** The URL that a new call asks first. */
  first(now: number): number {
    return this.#isUp(this.#preferred, now) ? this.#preferred : this.nextAfter(this.#preferred, now);
  }

  /** The URL to ask after a failure at `index`. */
  nextAfter(index: number, now: number): number {
    const count = this.urls.length;
    for (let step = 1; step <= count; step += 1) {
      if (this.#isUp((index + step) % count, now)) return (index + step) % count;
    }
    return (index + 1) % count;
  }

  /** Records that `index` answered. */
  works(index: number): void {
    this.#downUntil[index] = 0;
  }

  /** Records that `index` failed, and with `unreachable` that it did not answer at all. */
  failed(index: number, unreachable: boolean, now: number): void {
    if (unreachable) this.#downUntil[index] = now + SKIPPED_MS;
    // Another call may have moved on already; then its choice stands.
    if (this.#preferred === index) this.#preferred = this.nextAfter(index, now);
  }

  #isUp(index: number, now: number): boolean {
    return now >= (this.#downUntil[index] ?? 0);
  }
}

function baseUrl(text: string): string {
  let url: URL | undefined;
  try {
    url = new URL(text);
  } catch {
    // Refused below.
  }
  const http = url?.protocol === "http:" || url?.protocol === "https:";
  if (!url || !http || url.username || url.password || /[?#\s]/.test(text)) {
    throw new TypeError(`the base URL ${JSON.stringify(text)} is not of the form http(s)://host[:port][/path]`);
  }
  return text.replace(/\/+$/, "");
}
