// The console in a real browser, on a real cluster: each page at two sizes and in two schemes, each
// action, and nodes that come and go.

import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { after, before, test } from 'node:test';

import { chromium } from 'playwright-core';

import { Cluster, until } from './cluster.mjs';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const SCREENSHOTS = new URL('screenshots/', import.meta.url).pathname;
const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync'];
const SIZES = [['phone', 375, 800], ['desk', 1280, 800]];

let cluster;
let browser;

before(async () => {
  mkdirSync(SCREENSHOTS, { recursive: true });
  cluster = await Cluster.start();
  browser = await chromium.launch({ executablePath: process.env.HOLDFAST_CHROMIUM ?? '/usr/bin/chromium', args: FLAGS });
  for (const quantity of [1, 2, 3]) await cluster.post('/api/v1/orders', { items: [{ product_id: 2, quantity }], user_id: null });
  await cluster.post('/api/v1/orders', { items: [{ product_id: 3, quantity: 1 }] });
  await cluster.post('/api/v1/orders', { items: [{ product_id: 1, quantity: 1 }], payment_method: 'none' });
  await cluster.post('/api/v1/holds', { product_id: 1, quantity: 4, ttl_seconds: 3600 });
  await until('paid orders', async () => (await cluster.get('/api/v1/orders?status=PAID')).length === 4);
});

after(async () => {
  await browser?.close();
  await cluster?.stop();
});

/** A page that fails its test when it logs an error or asks another host. */
async function openPage(options = {}, node = 1) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, reducedMotion: 'reduce', ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(15_000);
  page.faults = [];
  page.on('console', (line) => line.type() === 'error' && page.faults.push(line.text()));
  page.on('pageerror', (error) => page.faults.push(String(error)));
  page.on('request', (asked) => {
    const url = new URL(asked.url());
    if (url.protocol !== 'data:' && url.origin !== cluster.url(node)) page.faults.push(`asked ${url}`);
  });
  page.go = (route) => page.goto(`${cluster.url(node)}/#/${route}`);
  return page;
}

async function violations(page) {
  await page.evaluate(AXE);
  const found = await page.evaluate(() => globalThis.axe.run());
  return found.violations.flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.html} ${node.failureSummary}`));
}

/** Each page, with a text that only real data shows. */
const PAGES = [
  ['', '3 of 3 nodes; you can lose 1'],
  ['nodes', '(this page)'],
  ['products', 'Wireless Mouse'],
  ['products/2', 'created'],
  ['orders', '3 × product 2'],
  ['orders/1', 'payment succeeded'],
  ['holds', '4 × product 1'],
  ['holds/1', 'active'],
  ['events?of=order', 'order.placed'],
  ['payments', 'Payments run.'],
  ['settings', 'Cluster id'],
];

for (const colorScheme of ['light', 'dark']) {
  for (const [size, width, height] of SIZES) {
    test(`each page shows data and has no fault: ${size}, ${colorScheme}`, { timeout: 120_000 }, async () => {
      const page = await openPage({ viewport: { width, height }, colorScheme });
      await page.go('events');
      await page.getByLabel('Resume after this id').fill('0.0');
      await page.getByRole('button', { name: 'Resume' }).click();
      await page.locator('.feed').waitFor();
      for (const [route, text] of PAGES) {
        await page.evaluate((hash) => { location.hash = hash; }, `#/${route}`);
        await page.getByText(text).first().waitFor();
        const name = `${route.replace(/\W/g, '-') || 'overview'}-${size}-${colorScheme}`;
        await page.screenshot({ path: `${SCREENSHOTS}${name}.png`, fullPage: true });
        assert.deepEqual(await violations(page), [], name);
        const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        assert.ok(overflow <= 0, `${name} scrolls sideways by ${overflow} px`);
      }
      assert.deepEqual(page.faults, []);
      await page.context().close();
    });
  }
}

/** Opens an action, fills its fields, and confirms it. Gives the two lines for a terminal. */
async function perform(page, button, fields = {}, confirm) {
  await page.getByRole('button', { name: button, exact: true }).click();
  const dialog = page.getByRole('dialog');
  for (const [label, value] of Object.entries(fields)) await dialog.getByLabel(label).fill(value);
  const go = dialog.locator('button[type=submit]');
  if (confirm) {
    assert.ok(await go.isDisabled(), 'an action that cannot be undone needs its confirmation');
    await dialog.getByLabel('Type').fill(confirm);
  }
  await dialog.getByText('The same from a terminal').click();
  const lines = [await dialog.locator('[data-line=curl]').textContent(), await dialog.locator('[data-line=holdfast]').textContent()];
  assert.deepEqual(await violations(page), [], button);
  await go.click();
  await dialog.getByText(/^(Done|Accepted)\./).waitFor();
  await dialog.getByRole('button', { name: 'Close' }).click();
  return lines;
}

test('actions change the cluster and show their lines', { timeout: 120_000 }, async () => {
  const page = await openPage();

  await page.go('orders');
  const [curl, holdfast] = await perform(page, 'Place a test order', { 'Product id': '2', Quantity: '5' });
  assert.match(curl, /^curl -X POST http:\/\/127\.0\.0\.1:\d+\/api\/v1\/orders -H 'Idempotency-Key: console-[0-9a-f]{32}' .* '\{"items":\[\{"product_id":2,"quantity":5\}\]\}'$/);
  assert.match(holdfast, /^holdfast orders place --item 2:5 --key console-[0-9a-f]{32} --url http/);
  const key = /console-[0-9a-f]{32}/.exec(curl)[0];
  const [newest] = await cluster.get('/api/v1/orders?limit=1');
  assert.deepEqual([newest.quantity, newest.idempotency_key], [5, key]);

  await page.go('orders');
  await page.getByLabel('Order id or idempotency key').fill(key);
  await page.getByRole('button', { name: 'Find' }).click();
  await page.getByText('The key has made').waitFor();
  await page.getByLabel('Order id or idempotency key').fill('never-used');
  await page.getByRole('button', { name: 'Find' }).click();
  await perform(page, 'Block this key', {}, 'never-used');
  assert.equal((await cluster.get('/api/v1/orders/by-key/never-used')).state, 'fenced');

  await page.go('orders/5');
  await perform(page, 'Cancel', { 'Reason, may be empty': "it's a trial" }, '5');
  assert.equal((await cluster.get('/api/v1/orders/5')).status, 'CANCELLED');
  await page.getByText("cancelled: it's a trial").waitFor();

  await page.go('holds');
  await perform(page, 'Create a hold', { 'Product id': '1', Quantity: '2' });
  await page.go('holds/2');
  await perform(page, 'Extend', { 'Expire after this many seconds, from now': '600' });
  await perform(page, 'Release', {}, '2');
  assert.equal((await cluster.get('/api/v1/holds/2')).status, 'released');

  await page.go('products');
  await perform(page, 'Create a product', { Name: "Bob's Lamp", Price: '12.50', 'Units for sale': '7' });
  await page.go('products/4');
  await perform(page, 'Adjust stock', { 'Add units, or remove them if negative': '-2', Reason: 'broken' });
  await perform(page, 'Edit', { Price: '13.00' });
  const lamp = await cluster.get('/api/v1/products/4');
  assert.deepEqual([lamp.name, lamp.price, lamp.stock], ["Bob's Lamp", '13.00', 5]);
  await perform(page, 'Archive', {}, '4');
  assert.equal(await cluster.get('/api/v1/products/4'), undefined);

  await page.go('payments');
  await perform(page, 'Pause payments');
  assert.equal((await cluster.get('/api/v1/cluster')).payments_paused, true);
  await page.getByText('Payments are paused.').waitFor();
  await perform(page, 'Resume payments');

  await page.go('nodes');
  const follower = (await cluster.get('/api/v1/cluster')).members.find((member) => member.role === 'follower').id;
  await perform(page, `Make leader: node ${follower}`);
  await until('the new leader', async () => (await cluster.leader()) === follower);
  await perform(page, 'Take a snapshot');
  // The archived product is asked for once more before the page is left.
  assert.deepEqual(page.faults.filter((fault) => !fault.includes('404')), []);
  await page.context().close();
});

test('a refusal is told in words, and its link leads somewhere', { timeout: 60_000 }, async () => {
  const page = await openPage();
  await page.go('orders');
  await page.getByRole('button', { name: 'Place a test order' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('Product id').fill('3');
  await dialog.locator('button[type=submit]').click();
  await dialog.getByText('Refused; nothing was changed. Insufficient stock').waitFor();
  await dialog.getByRole('link', { name: 'About insufficient_stock' }).click();
  await page.locator('#Problem').waitFor();
  await page.context().close();
});

test('a token is sent as a header, shown nowhere, and forgotten with the tab', { timeout: 60_000 }, async () => {
  const page = await openPage();
  await page.go('settings');
  await page.getByLabel('Token').fill('secret-token');
  const asked = page.waitForRequest((it) => it.headers().authorization === 'Bearer secret-token');
  await page.getByRole('button', { name: 'Use this token' }).click();
  await asked;
  await page.getByText('This tab sends a token.').waitFor();
  await page.go('orders');
  await page.getByRole('button', { name: 'Place a test order' }).click();
  assert.match(await page.locator('[data-line=curl]').textContent(), /"Authorization: Bearer \$HOLDFAST_TOKEN"/);
  assert.ok(!(await page.content()).includes('secret-token'));
  const stored = await page.evaluate(() => JSON.stringify(localStorage) + document.cookie);
  assert.ok(!stored.includes('secret-token'));
  await page.context().close();
});

test('the keyboard reaches pages and actions, and focus returns', { timeout: 60_000 }, async () => {
  const page = await openPage();
  await page.go('');
  await page.getByText('you can lose 1').first().waitFor();
  await page.keyboard.press('Tab');
  assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Skip to the content');
  for (let presses = 0; presses < 3; presses++) await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'Products' }).waitFor();
  assert.equal(await page.evaluate(() => document.activeElement.id), 'main');
  await page.getByRole('button', { name: 'Create a product' }).focus();
  await page.keyboard.press('Enter');
  await page.getByRole('dialog').waitFor();
  await page.keyboard.press('Escape');
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Create a product');
  await page.context().close();
});

test('the page goes on while nodes come and go', { timeout: 180_000 }, async () => {
  const leader = await until('a leader', () => cluster.leader());
  const [watched, other] = [1, 2, 3].filter((id) => id !== leader);
  const page = await openPage({}, watched);
  await page.go('');
  await page.getByText('3 of 3 nodes; you can lose 1').first().waitFor();

  await cluster.kill(leader);
  await page.getByText('2 of 3 nodes; you can lose none').first().waitFor({ timeout: 30_000 });
  await until('an order without the old leader', () => cluster.post('/api/v1/orders', { items: [{ product_id: 2, quantity: 1 }] }, watched));
  await page.getByText('order.placed').first().waitFor();
  cluster.run(leader);
  await page.getByText('3 of 3 nodes; you can lose 1').first().waitFor({ timeout: 30_000 });

  await cluster.kill(watched);
  await page.getByText('This node has not answered since').waitFor();
  const link = page.getByRole('link', { name: `Open on node ${other}` });
  assert.equal(await link.getAttribute('href'), `${cluster.url(other)}/#/`);
  await until('an order without the page\'s node', () => cluster.post('/api/v1/orders', { items: [{ product_id: 1, quantity: 1 }] }, other));
  cluster.run(watched);
  await page.getByText('This node has not answered since').waitFor({ state: 'detached', timeout: 30_000 });
  // The stream resumes after the last event that the page has, so it misses none.
  await page.getByText('product 1').first().waitFor();
  await page.context().close();
});
