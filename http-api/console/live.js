// What the console knows of the cluster, kept fresh: membership, figures and events. Views listen.
// A hidden tab asks nothing.

import { authorization, get, getText } from './api.js';

const EVERY_MS = 2000;
const SAMPLES_MAX = 300;
const EVENTS_MAX = 500;
const RETRY_MS = 2000;
const BLOCK_CHARS_MAX = 1 << 20;

/** The newest state. `failedAt` is the time of the first failure in a row, else null. */
export const live = {
  cluster: null,
  metrics: null,
  samples: [],
  events: [],
  lastEvent: null,
  failedAt: null,
  reachedAt: null,
  streams: 'connecting',
};

const listeners = new Set();

/** Calls `listener(what)` after each change: `state`, `event` or `stream`. Returns its removal. */
export function listen(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

const tell = (what) => listeners.forEach((listener) => listener(what));

/** Reads metrics: `name{labels}` to number. A later prefix `holdfast_` is left out. */
export function parseMetrics(text) {
  const values = new Map();
  for (const line of text.split('\n')) {
    if (!line || line.startsWith('#')) continue;
    const space = line.lastIndexOf(' ');
    values.set(line.slice(0, space).replace(/^holdfast_/, ''), Number(line.slice(space + 1)));
  }
  return values;
}

/** The sum of all series of a metric. */
export function total(metrics, name) {
  let sum = 0;
  for (const [series, value] of metrics ?? []) {
    if (series === name || series.startsWith(`${name}{`)) sum += value;
  }
  return sum;
}

function buckets(metrics, name) {
  const found = [];
  for (const [series, value] of metrics) {
    const bound = series.startsWith(`${name}_bucket{`) && /le="([^"]+)"/.exec(series);
    if (bound) found.push([bound[1] === '+Inf' ? Infinity : Number(bound[1]), value]);
  }
  return found.sort((a, b) => a[0] - b[0]);
}

/** A quantile of the requests between two readings of a histogram, in seconds; NaN without any. */
export function quantile(before, after, share) {
  const counts = after.map(([bound, count], place) => [bound, count - (before[place]?.[1] ?? 0)]);
  const all = counts.at(-1)?.[1] ?? 0;
  if (all <= 0) return NaN;
  let low = 0;
  let under = 0;
  for (const [bound, count] of counts) {
    if (count >= all * share) {
      if (bound === Infinity) return low;
      return low + (bound - low) * ((all * share - under) / Math.max(count - under, 1));
    }
    [low, under] = [bound, count];
  }
  return low;
}

const REFUSALS = ['insufficient_stock', 'purchase_limit_exceeded', 'too_many_open_orders', 'idempotency_key_reused'];

const refusals = (metrics) =>
  REFUSALS.reduce((sum, reason) => sum + total(metrics, `orders_failed_total{reason="${reason}"}`), 0);

function sample(metrics) {
  const latency = buckets(metrics, 'inventory_reserve_latency_seconds');
  const now = {
    at: Date.now(), latency,
    created: total(metrics, 'orders_created_total'),
    paid: total(metrics, 'orders_paid_total'),
    refused: refusals(metrics),
  };
  const last = live.samples.at(-1);
  if (last) {
    const seconds = (now.at - last.at) / 1000;
    const per = (name) => Math.max(0, now[name] - last[name]) / seconds;
    Object.assign(now, { orders: per('created'), payments: per('paid'), refusals: per('refused') });
    now.p99 = quantile(last.latency, latency, 0.99);
    now.p50 = quantile(last.latency, latency, 0.5);
  }
  live.samples.push(now);
  if (live.samples.length > SAMPLES_MAX) live.samples.shift();
}

/** Reads membership and figures once. */
export async function refresh() {
  try {
    const [cluster, text] = await Promise.all([get('/api/v1/cluster'), getText('/metrics')]);
    live.cluster = cluster;
    live.metrics = parseMetrics(text);
    sample(live.metrics);
    live.reachedAt = Date.now();
    live.failedAt = null;
    live.problem = null;
  } catch (problem) {
    live.failedAt ??= Date.now();
    live.problem = problem;
  }
  tell('state');
}

async function poll() {
  for (;;) {
    if (!document.hidden) await refresh();
    await new Promise((done) => setTimeout(done, EVERY_MS));
  }
}

/** Blocks of a stream of events, as `{id, data}`. */
export function* blocks(text) {
  for (const block of text.split('\n\n')) {
    const found = { id: null, data: null };
    for (const line of block.split('\n')) {
      if (line.startsWith('id: ')) found.id = line.slice(4);
      if (line.startsWith('data: ')) found.data = JSON.parse(line.slice(6));
    }
    if (found.id || found.data) yield found;
  }
}

function take(text) {
  for (const { id, data } of blocks(text)) {
    if (id) live.lastEvent = id;
    if (!data) continue;
    live.events.unshift(data);
    live.events.length = Math.min(live.events.length, EVENTS_MAX);
    tell('event');
  }
}

let stop = null;

async function read(signal) {
  const after = live.lastEvent ? `?after=${encodeURIComponent(live.lastEvent)}` : '';
  const answer = await fetch(`/api/v1/events${after}`, { headers: authorization(), signal, cache: 'no-store' });
  // Events after this id are gone: continue with new ones.
  if (answer.status === 410) live.lastEvent = null;
  if (!answer.ok) throw new Error(`The node answered ${answer.status}.`);
  live.streams = 'open';
  tell('stream');
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let waiting = ''; ;) {
    const { done, value } = await reader.read();
    if (done) return;
    waiting += value;
    const end = waiting.lastIndexOf('\n\n');
    if (end >= 0) {
      take(waiting.slice(0, end));
      waiting = waiting.slice(end + 2);
    }
    if (waiting.length > BLOCK_CHARS_MAX) throw new Error('A block of the stream is too long.');
  }
}

/** Reads the stream of events again, after the given id if there is one. */
export function resume(after) {
  if (after) {
    live.lastEvent = after;
    live.events.length = 0;
  }
  stop?.abort();
}

async function follow() {
  for (;;) {
    if (!document.hidden) {
      stop = new AbortController();
      await read(stop.signal).catch(() => null);
      live.streams = 'connecting';
      tell('stream');
      if (stop.signal.aborted) continue;
    }
    await new Promise((done) => setTimeout(done, RETRY_MS));
  }
}

/** Begins to ask. */
export function start() {
  document.addEventListener('visibilitychange', () => {
    if (document.hidden) stop?.abort();
  });
  poll();
  follow();
}

/** How many voters answer, how many there are, and how many more may fail. */
export function standing(cluster) {
  const voters = cluster.members.filter((member) => member.role !== 'learner');
  const healthy = voters.filter((member) => member.healthy).length;
  const majority = Math.floor(voters.length / 2) + 1;
  return { voters: voters.length, healthy, spare: healthy - majority };
}

/** The health of the cluster in one sentence, with its tone. */
export function health(cluster) {
  const { voters, healthy, spare } = standing(cluster);
  const nodes = `${healthy} of ${voters} ${voters === 1 ? 'node' : 'nodes'}`;
  if (spare < 0) return [`${nodes}; no majority, so nothing can be written`, 'bad'];
  if (cluster.leader_id === null) return [`${nodes}; no leader, so writes wait`, 'bad'];
  if (spare === 0 && voters > 1) return [`${nodes}; you can lose none`, 'warn'];
  return [`${nodes}; you can lose ${spare === 0 ? 'none' : spare}`, spare === 0 ? 'warn' : 'good'];
}
