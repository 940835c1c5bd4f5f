/** Runs the cases of `client/conformance`, which every client must pass. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { Client, HoldfastError, InvalidSignature, signWebhook, verifyWebhook } from "../dist/index.js";
import { Comparison, Script, read } from "./scripted.js";

/** How the arguments of a call become those of a method: an id or a key first, options last. */
const SHAPES = {
  place_batch: ({ orders, ...options }) => [orders, options],
  get_order: ({ order_id }) => [order_id],
  cancel_order: ({ order_id, ...request }) => [order_id, request],
  order_by_key: ({ key }) => [key],
  fence_key: ({ key }) => [key],
  get_hold: ({ hold_id }) => [hold_id],
  extend_hold: ({ hold_id, ...request }) => [hold_id, request],
  release_hold: ({ hold_id }) => [hold_id],
  replace_product: ({ product_id, if_match, ...request }) => [product_id, request, optional("ifMatch", if_match)],
  patch_product: ({ product_id, ...patch }) => [product_id, patch],
  adjust_stock: ({ product_id, ...request }) => [product_id, request],
  list_ledger: ({ product_id, ...options }) => [product_id, options],
  send_webhook: ({ secrets, ...request }) => [request, { secrets }],
};

const optional = (name, value) => (value === undefined ? {} : { [name]: value });
const camel = (name) => name.replace(/_([a-z])/g, (_, letter) => letter.toUpperCase());
const snake = (name) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
const snakes = (fields) => Object.fromEntries(Object.entries(fields).map(([name, value]) => [snake(name), value]));

for (const file of ["writes", "reads", "retries", "events"]) {
  const cases = JSON.parse(read(`conformance/${file}.json`));
  assert.ok(cases.length > 0);
  for (const one of cases) test(`${file}: ${one.name}`, async () => assert.deepEqual(await run(one), []));
}

/** What is wrong with the client in this case. */
async function run(one) {
  const script = new Script(one.exchanges);
  await script.start(one.nodes ?? 1, one.closed ?? []);
  const settings = {
    deadlineMs: 10_000, attemptTimeoutMs: 5_000, stallTimeoutMs: 3_000, silenceTimeoutMs: 5_000, backoffBaseMs: 1,
    backoffMaxMs: 2,
  };
  for (const [name, value] of Object.entries(one.client ?? {})) settings[camel(name)] = value;
  settings.backoffMaxMs = Math.max(settings.backoffMaxMs, settings.backoffBaseMs);
  const wrong = [];
  const comparison = new Comparison();
  const begun = performance.now();
  let tookMs;
  try {
    let client = new Client(script.urls, settings);
    if (one.session) client = client.session();
    if (one.stale) client = client.stale();
    for (const call of one.calls) wrong.push(...(await outcome(client, call, comparison)));
    tookMs = performance.now() - begun;
  } finally {
    await script.end();
  }
  one.exchanges.forEach((exchange, at) => {
    const request = script.requests[at];
    if (!request) return;
    const { exact_body, ...expected } = exchange.request ?? {};
    wrong.push(...comparison.differences(expected, request, `request ${at}`));
    if (exact_body !== undefined) assert.deepEqual(request.body, exact_body);
  });
  if (script.requests.length !== one.exchanges.length) {
    wrong.push(`${script.requests.length} requests came instead of ${one.exchanges.length}`);
  }
  const [least, most] = one.elapsed_ms ?? [0, 5000];
  if (tookMs < least || tookMs > most) wrong.push(`it took ${tookMs} ms`);
  return wrong;
}

/** What is wrong with one call. */
async function outcome(client, { method, args, take = Infinity, ...expected }, comparison) {
  const shape = SHAPES[method] ?? ((request) => [request]);
  let actual;
  try {
    const made = client[camel(method)](...shape(args));
    if (method === "events" || method.startsWith("list_")) {
      const rows = [];
      for await (const row of made) {
        rows.push(row);
        if (rows.length >= take) break;
      }
      actual = { rows, last_id: made.lastId };
    } else {
      actual = { result: snakes(await made) };
    }
  } catch (error) {
    if (!(error instanceof HoldfastError)) throw error;
    actual = { error: { ...snakes(error), class: error.constructor.name } };
  }
  const { attempts_min: fewest = 0, ...error } = expected.error ?? {};
  if (expected.error && !(actual.error?.attempts >= fewest)) return [`${method}: ${JSON.stringify(actual)}`];
  return comparison.differences(expected.error ? { ...expected, error } : expected, actual, method);
}

const signatures = JSON.parse(read("conformance/signatures.json"));
const genuine = signatures.sign[0];
const mac = genuine.signature.slice(-64);

for (const one of signatures.sign) {
  test(`sign: ${one.name}`, async () => {
    assert.equal(await signWebhook(one.body, one.secrets, { timestamp: one.timestamp }), one.signature);
  });
}

for (const one of signatures.verify) {
  test(`verify: ${one.name}`, async () => {
    const signature = one.signature
      ?.replaceAll("MAC_CAPITALS", mac.toUpperCase()).replaceAll("MAC", mac).replaceAll("ZEROS", "0".repeat(64));
    const secrets = one.secrets ?? ["another secret", ...genuine.secrets];
    const options = { now: one.now ?? genuine.timestamp };
    const verified = verifyWebhook(new TextEncoder().encode(one.body ?? genuine.body), signature, secrets, options);
    if (one.valid) await verified;
    else await assert.rejects(verified, InvalidSignature);
  });
}
