/** The client against three real nodes. Without `HOLDFAST_BINARY` these tests are skipped. */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { Client, Rejected } from "../dist/index.js";
import { Cluster, SECRET } from "./cluster.js";
import { read } from "./scripted.js";

const ORDERS = 200;

describe("three real nodes", { skip: !process.env.HOLDFAST_BINARY && "HOLDFAST_BINARY names no program" }, () => {
  const cluster = new Cluster();
  let client;

  before(async () => {
    await cluster.start();
    client = new Client(cluster.urls, { deadlineMs: 30_000 });
    // Nodes that still start refuse connections: the call goes on until there is a leader.
    await client.listProducts().next();
    // The products of `holdfast dev` that the README names.
    await client.createProduct({ name: "Laptop Pro", price: "999.99", stock: 50 });
    await client.createProduct({ name: "Wireless Mouse", price: "29.99", stock: 200 });
  });

  after(() => cluster.end());

  test("a checkout", async () => {
    const shop = client.session();
    const { data: mug } = await shop.createProduct({ name: "Mug", price: "0.10", stock: 10, sku: "mug" });
    const { data: user } = await shop.createUser({ name: "Dora", email: "dora@example.com" });
    const { data: hold } = await shop.createHold({ items: [{ product_id: mug.id, quantity: 3 }], user_id: user.id });
    assert.equal((await shop.stale().getProduct(mug.id)).data.stock, 7);
    await shop.extendHold(hold.id, { ttl_seconds: 300 });
    const request = { hold_id: hold.id, metadata: { cart: "c-9" } };
    const placed = await shop.createOrder(request);
    assert.equal(placed.data.total_amount, "0.30", "amounts are text, so 3 times 0.10 is exact");
    const again = await shop.createOrder({ ...request, idempotency_key: placed.idempotencyKey });
    assert.deepEqual([again.replayed, again.data.id], [true, placed.data.id]);
    const { data: receipt } = await shop.sendWebhook(
      { idempotency_key: "checkout-1", order_id: placed.data.id, status: "success", amount: "0.30" },
      { secrets: [SECRET] },
    );
    assert.deepEqual([receipt.order_status, receipt.result], ["PAID", "applied"]);
    await refused("invalid_signature", () =>
      shop.sendWebhook({ idempotency_key: "checkout-2", order_id: 1, status: "success" }, { secrets: ["wrong"] }),
    );
    const steps = (await shop.orderHistory(placed.data.id)).data.map((step) => step.to);
    assert.deepEqual(steps, ["PENDING", "PROCESSING", "PAID"]);
    const { data: released } = await shop.createHold({ items: [{ product_id: mug.id, quantity: 1 }] });
    assert.equal((await shop.releaseHold(released.id)).status, 204);
    const { data: batch } = await shop.placeBatch([
      { items: [{ product_id: mug.id, quantity: 1 }], payment_method: "none" },
      { items: [{ product_id: mug.id, quantity: 99 }], payment_method: "none" },
    ]);
    assert.deepEqual(batch.map((result) => result.status), [201, 409]);
    const cancelled = await shop.cancelOrder(batch[0].order.id, { reason: "changed mind" });
    assert.equal(cancelled.data.failure_reason, "changed mind");
    assert.equal((await shop.fenceKey("never-used")).data.state, "fenced");
    await refused("key_fenced", () => shop.purchase({ product_id: mug.id, quantity: 1, idempotency_key: "never-used" }));
    assert.equal((await shop.orderByKey("ä/?")).data.state, "unused");
    const adjusted = await shop.adjustStock(mug.id, { delta: 5, reason: "found some" });
    assert.equal(adjusted.data.stock, 12);
    const { data: patched } = await shop.patchProduct(mug.id, { sku: null, price: "0.40" });
    assert.deepEqual([patched.sku, patched.price], [null, "0.40"]);
    const causes = [];
    for await (const row of shop.listLedger(mug.id, { page_size: 2 })) causes.push(row.cause);
    assert.deepEqual(causes.slice(0, 4), ["created", "hold", "hold_consume", "sale"]);
    await refused("version_mismatch", () => shop.archiveProduct(mug.id, { ifMatch: 1 }));
    await shop.archiveProduct(mug.id);
    assert.equal((await shop.ordersPage({ user_id: user.id })).meta.total, 1);
    assert.equal((await shop.health()).data.status, "ok");
    assert.equal((await shop.cluster()).data.members.length, 3);
  });

  test("the snippets of the README run", async () => {
    const snippets = [...read("typescript/README.md").matchAll(/```ts\n(.*?)```/gs)].map((match) => match[1]);
    assert.ok(snippets.length > 5);
    let program = snippets.join("\n").replaceAll("a webhook secret", SECRET);
    cluster.urls.forEach((url, at) => (program = program.replaceAll(`http://127.0.0.1:${8080 + at}`, url)));
    // Imports cannot stand in a function, so the program is a module of its own.
    program = program.replaceAll('from "holdfast"', `from "${new URL("../dist/index.js", import.meta.url)}"`);
    const printed = [];
    const log = console.log;
    console.log = (...values) => printed.push(values.join(" "));
    try {
      await import(`data:text/javascript,${encodeURIComponent(program)}`);
    } finally {
      console.log = log;
    }
    const text = printed.join("\n");
    for (const expected of ["PENDING 1999.98", "insufficient_stock", "fenced", "201,201", "applied PAID", "order.placed"]) {
      assert.ok(text.includes(expected), `${expected} is not in ${text}`);
    }
  });

  test("orders go on while the leader is killed", async () => {
    const { data: product } = await client.createProduct({ name: "Drop", price: "10", stock: 1000 });
    const stream = client.events({ types: ["order.placed"], product_id: product.id });
    await stream.open();
    const followed = (async () => {
      const ids = [];
      for await (const event of stream) if (ids.push(event.order_id) === ORDERS) return ids;
    })();
    const placed = [];
    let number = 0;
    let killed = false;
    const place = async () => {
      while (number < ORDERS) {
        const mine = (number += 1);
        if (mine === Math.floor(ORDERS / 3)) {
          await cluster.kill((await client.cluster()).data.leader_id);
          killed = true;
        }
        const items = [{ product_id: product.id, quantity: 1 }];
        const answer = await client.createOrder({ items, payment_method: "none", idempotency_key: `order-${mine}` });
        placed.push(answer.data.id);
      }
    };
    await Promise.all(Array.from({ length: 8 }, place));
    assert.ok(killed);
    const numeric = (a, b) => a - b;
    placed.sort(numeric);
    assert.equal(new Set(placed).size, ORDERS, "each key has an order of its own");
    const listed = [];
    for await (const order of client.listOrders({ product_id: product.id, page_size: 7 })) listed.unshift(order.id);
    assert.deepEqual(listed, placed, "no order is lost and none is doubled");
    const { data: counters } = await client.getProduct(product.id);
    assert.deepEqual([counters.stock, counters.reserved], [1000 - ORDERS, ORDERS]);
    assert.deepEqual(await followed, placed, "each event came once, in order");
  });
});

async function refused(code, work) {
  await assert.rejects(work, (error) => error instanceof Rejected && error.code === code);
}
