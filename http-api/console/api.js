// Sends requests to the node that served the page. Knows no view.

const TOKEN = 'holdfast-token';

/** The bearer token of this tab, or an empty string. */
export const token = () => sessionStorage.getItem(TOKEN) ?? '';

/** Keeps a bearer token until the tab is closed; an empty one is forgotten. */
export function setToken(text) {
  if (text) sessionStorage.setItem(TOKEN, text);
  else sessionStorage.removeItem(TOKEN);
}

/** The headers of every request. */
export const authorization = () => token() ? { Authorization: `Bearer ${token()}` } : {};

/** A request that failed. `outcome` is `rejected`, `not_applied` or `unknown`, as in every problem. */
export class Problem extends Error {
  constructor(message, status, outcome, body) {
    super(message);
    this.status = status;
    this.outcome = outcome;
    this.body = body;
  }
}

const SECONDS_MAX = 10;

async function send(method, path, { body, key, signal } = {}) {
  const headers = { Accept: 'application/json', ...authorization() };
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  if (key) headers['Idempotency-Key'] = key;
  const timeout = AbortSignal.timeout(SECONDS_MAX * 1000);
  const write = method !== 'GET';
  let answer;
  let text;
  try {
    answer = await fetch(path, {
      method, headers, cache: 'no-store',
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
    });
    text = await answer.text();
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Problem('The node does not answer.', 0, write ? 'unknown' : 'not_applied', null);
  }
  let data = null;
  try {
    data = JSON.parse(text);
  } catch {
    data = null;
  }
  if (answer.ok) return { status: answer.status, body: data, text };
  const message = data?.detail ?? `The node answered ${answer.status}.`;
  throw new Problem(message, answer.status, data?.outcome ?? 'unknown', data);
}

/** `data` of an answer. */
export const get = async (path, signal) => (await send('GET', path, { signal })).body?.data;

/** The whole body of an answer, for lists with `meta`. */
export const getPage = async (path, signal) => (await send('GET', path, { signal })).body;

/** The text of an answer. */
export const getText = async (path, signal) => (await send('GET', path, { signal })).text;

/** Sends a write. */
export const write = (method, path, body, key) => send(method, path, { body, key });

/** A new idempotency key. `crypto.randomUUID` needs a secure context, which plain HTTP is not. */
export function newKey() {
  const random = crypto.getRandomValues(new Uint8Array(16));
  return `console-${[...random].map((byte) => byte.toString(16).padStart(2, '0')).join('')}`;
}
