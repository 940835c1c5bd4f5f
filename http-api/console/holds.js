// The newest holds, one by one: the API lists none, but their ids ascend.

import { button } from './action.js';
import { get } from './api.js';
import { facts, field, h, left, number, raw, show, table, tag, time } from './dom.js';
import { live, total } from './live.js';

const SHOWN = 12;
const link = (id) => h('a', { href: `#/holds/${id}` }, `Hold ${id}`);
const units = (items) => items.map((item) => `${number(item.quantity)} × product ${item.product_id}`).join(', ');

const create = (done) => button('Create a hold', () => ({
  title: 'Create a hold',
  about: 'It keeps units from being sold until its deadline.',
  keyed: true,
  fields: [
    ['product', 'Product id', { type: 'number', min: 1, value: 1 }],
    ['quantity', 'Quantity', { type: 'number', min: 1, value: 1 }],
    ['ttl', 'Seconds until it expires', { type: 'number', min: 1, value: 120 }],
  ],
  request: ({ product, quantity, ttl }) => ({
    method: 'POST', path: '/api/v1/holds',
    body: { items: [{ product_id: Number(product), quantity: Number(quantity) }], ttl_seconds: Number(ttl) },
    words: ['holds', 'create', '--item', `${product}:${quantity}`, '--ttl-s', ttl],
  }),
  done: (answer, add) => {
    add(link(answer.data.id));
    done?.(answer.data.id);
  },
}), { class: 'main' });

const release = (hold, done) => button('Release', () => ({
  title: `Release hold ${hold.id}`,
  about: 'Its units can be sold again.',
  confirm: String(hold.id), danger: true,
  request: () => ({ method: 'DELETE', path: `/api/v1/holds/${hold.id}`, words: ['holds', 'release', hold.id] }),
  done,
}), { class: 'danger' });

const extend = (hold, done) => button('Extend', () => ({
  title: `Extend hold ${hold.id}`,
  fields: [['ttl', 'Expire after this many seconds, from now', { type: 'number', min: 1, value: 300 }]],
  request: ({ ttl }) => ({
    method: 'POST', path: `/api/v1/holds/${hold.id}/extend`, body: { ttl_seconds: Number(ttl) },
    words: ['holds', 'extend', hold.id, '--ttl-s', ttl],
  }),
  done,
}));

/** The newest id that this page knows of. */
function newestId(known) {
  const told = live.events.map((event) => event.hold_id ?? 0);
  return Math.max(known, total(live.metrics, 'holds_created_total'), ...told);
}

function list({ root, every }) {
  const found = h('div', {});
  const problemAt = h('p', {});
  let known = 0;
  const ask = async () => {
    known = newestId(known);
    const ids = Array.from({ length: Math.min(SHOWN, known) }, (_, place) => known - place);
    const answers = await Promise.all(ids.map((id) => get(`/api/v1/holds/${id}?consistency=stale`).catch(() => null)));
    const holds = answers.filter(Boolean);
    show(found, [holds, Math.floor(Date.now() / 2000)], () => table('Newest holds', [
      ['Hold', (it) => link(it.id)],
      ['Status', (it) => tag(it.status)],
      ['Items', (it) => units(it.items)],
      ['Left', (it) => it.status === 'active' ? left(it.expires_at) : ''],
      ['Order', (it) => it.order_id ? h('a', { href: `#/orders/${it.order_id}` }, `Order ${it.order_id}`) : ''],
      ['User', (it) => it.user_id ?? ''],
    ], holds, 'No hold yet.'));
    const active = total(live.metrics, 'holds_active');
    show(problemAt, active, () => `${number(active)} holds are active. The table has the ${SHOWN} newest.`);
  };
  const input = h('input', { type: 'number', min: 1, name: 'id' });
  const submit = (event) => {
    event.preventDefault();
    if (input.value) location.hash = `#/holds/${input.value}`;
  };
  root.append(h('form', { class: 'row', onsubmit: submit }, field('Hold id', input), h('button', { type: 'submit' }, 'Find'),
    create((id) => { known = Math.max(known, id); })), problemAt, found);
  every(2, ask, (problem) => show(problemAt, problem.message, () => problem.message));
}

function one({ root, argument, every }) {
  const about = h('div', {});
  root.append(about);
  const ask = async () => {
    const hold = await get(`/api/v1/holds/${encodeURIComponent(argument)}`);
    show(about, [hold, hold.status === 'active' ? Math.floor(Date.now() / 1000) : 0], () => [
      facts([
        ['Status', tag(hold.status)], ['Items', units(hold.items)],
        ['Expires', [time(hold.expires_at), hold.status === 'active' ? `, in ${left(hold.expires_at)}` : '']],
        ['Order', hold.order_id ? h('a', { href: `#/orders/${hold.order_id}` }, `order ${hold.order_id}`) : null],
        ['User', hold.user_id], ['Idempotency key', hold.idempotency_key], ['Created', time(hold.created_at)],
        ['Trace id', h('code', {}, hold.trace_id)],
      ]),
      hold.status === 'active' ? h('div', { class: 'row' }, extend(hold, ask), release(hold, ask)) : null, raw(hold)]);
  };
  every(2, ask, (problem) => show(about, problem.message, () => h('p', {}, problem.message)));
}

export const open = (context) => context.argument ? one(context) : list(context);
