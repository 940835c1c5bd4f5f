// Orders with filters, one order with its timeline, and idempotency keys.

import { act, button } from './action.js';
import { get, getPage } from './api.js';
import { facts, field, h, number, raw, show, table, tag, time } from './dom.js';

const LIMIT = 50;
const STATUSES = ['PENDING', 'PROCESSING', 'PAID', 'FAILED', 'CANCELLED'];
const link = (id) => h('a', { href: `#/orders/${id}` }, `Order ${id}`);
const units = (items) => items.map((item) => `${number(item.quantity)} × product ${item.product_id}`).join(', ');

const place = () => button('Place a test order', () => ({
  title: 'Place a test order',
  about: 'This is a real order: it reserves stock and is paid as any other.',
  keyed: true,
  fields: [
    ['product', 'Product id', { type: 'number', min: 1, value: 2 }],
    ['quantity', 'Quantity', { type: 'number', min: 1, value: 1 }],
    ['user', 'User id, may be empty', { type: 'number', min: 1 }],
  ],
  request: ({ product, quantity, user }) => ({
    method: 'POST', path: '/api/v1/orders',
    body: { items: [{ product_id: Number(product), quantity: Number(quantity) }], ...(user ? { user_id: Number(user) } : {}) },
    words: ['orders', 'place', '--item', `${product}:${quantity}`, ...(user ? ['--user-id', user] : [])],
  }),
  done: (answer, add) => add(link(answer.order_id)),
}), { class: 'main' });

const cancel = (order, done) => button('Cancel', () => ({
  title: `Cancel order ${order.id}`,
  about: 'Its units can be sold again.',
  confirm: String(order.id), danger: true,
  fields: [['reason', 'Reason, may be empty']],
  request: ({ reason }) => ({
    method: 'POST', path: `/api/v1/orders/${order.id}/cancel`, body: reason ? { reason } : {},
    words: ['orders', 'cancel', order.id, ...(reason ? ['--reason', reason] : [])],
  }),
  done,
}), { class: 'danger' });

function fence(key, done) {
  act({
    title: 'Block this key',
    about: `If no order has the key ${key}, none can ever have it afterwards.`,
    confirm: key, danger: true,
    request: () => ({
      method: 'POST', path: `/api/v1/orders/by-key/${encodeURIComponent(key)}/fence`, words: ['orders', 'fence', key],
    }),
    done,
  });
}

/** A form that finds an order by its id or by an idempotency key. */
function search(root) {
  const input = h('input', { name: 'search', autocomplete: 'off' });
  const answer = h('p', { role: 'status' });
  const find = async () => {
    const text = input.value.trim();
    if (!text) return;
    if (/^[1-9][0-9]*$/.test(text)) {
      location.hash = `#/orders/${text}`;
      return;
    }
    const found = await get(`/api/v1/orders/by-key/${encodeURIComponent(text)}`);
    if (found.order) answer.replaceChildren('The key has made ', link(found.order.id), '.');
    else answer.replaceChildren(`The key is ${found.state}. `, found.state === 'unused'
      ? h('button', { type: 'button', class: 'danger', onclick: () => fence(text, find) }, 'Block this key') : '');
  };
  const submit = (event) => {
    event.preventDefault();
    find().catch((problem) => answer.replaceChildren(problem.message));
  };
  root.append(h('form', { class: 'row', onsubmit: submit }, field('Order id or idempotency key', input),
    h('button', { type: 'submit' }, 'Find')), answer);
}

function list({ root, filters, every }) {
  const found = h('div', {});
  const more = h('p', {});
  const query = new URLSearchParams(filters);
  const go = () => {
    const chosen = new URLSearchParams();
    for (const input of [status, user, product]) if (input.value) chosen.set(input.name, input.value);
    location.hash = `#/orders?${chosen}`;
  };
  const status = h('select', { name: 'status', onchange: go }, h('option', { value: '' }, 'all'),
    STATUSES.map((word) => h('option', { value: word, selected: word === filters.get('status') }, word)));
  const user = h('input', { name: 'user_id', type: 'number', min: 1, value: filters.get('user_id') ?? '', onchange: go });
  const product = h('input', { name: 'product_id', type: 'number', min: 1, value: filters.get('product_id') ?? '', onchange: go });
  query.set('limit', String(LIMIT));
  const ask = async () => {
    const page = await getPage(`/api/v1/orders?${query}`);
    show(found, page.data, () => table('Orders', [
      ['Order', (it) => link(it.id)],
      ['Status', (it) => tag(it.status)],
      ['Total', (it) => it.total_amount, 'number'],
      ['Items', (it) => units(it.items)],
      ['User', (it) => it.user_id ?? ''],
      ['Created', (it) => time(it.created_at)],
      ['Reason', (it) => it.failure_reason ?? ''],
    ], page.data, 'No such order.'));
    const next = new URLSearchParams(filters);
    next.set('cursor', page.meta?.next_cursor ?? '');
    show(more, [page.meta, String(query)], () => page.meta?.has_more ? h('a', { class: 'button', href: `#/orders?${next}` }, `Next ${LIMIT}`) : '');
  };
  search(root);
  root.append(h('div', { class: 'row' }, field('Status', status), field('User', user), field('Product', product), place()), found, more);
  every(2, ask, (problem) => show(more, problem.message, () => problem.message));
}

const timeline = (steps) => h('ol', { class: 'timeline' }, steps.map((step) => h('li', {},
  tag(step.to), ' ', time(step.time), h('div', {}, step.cause.replaceAll('_', ' '), step.reason ? `: ${step.reason}` : ''),
  h('div', { class: 'soft' }, `position ${step.index}`))));

function one({ root, argument, every }) {
  const about = h('div', {});
  const history = h('div', {});
  root.append(about, h('h2', {}, 'Timeline'), history);
  const path = `/api/v1/orders/${encodeURIComponent(argument)}`;
  const ask = async () => {
    const [order, steps] = await Promise.all([get(path), get(`${path}/events`)]);
    show(about, order, () => [
      facts([
        ['Status', tag(order.status)], ['Total', order.total_amount],
        ['Items', h('span', {}, order.items.map((item) => [h('a', { href: `#/products/${item.product_id}` }, `product ${item.product_id}`),
          ` ${number(item.quantity)} × ${item.unit_price} = ${item.line_total} `]))],
        ['User', order.user_id], ['Payment', `${order.payment_method}: ${order.payment_status}`],
        ['Hold', order.hold_id ? h('a', { href: `#/holds/${order.hold_id}` }, `hold ${order.hold_id}`) : null],
        ['Idempotency key', order.idempotency_key], ['Failure', order.failure_reason], ['Trace id', h('code', {}, order.trace_id)],
      ]),
      order.status === 'PENDING' ? h('div', { class: 'row' }, cancel(order, ask)) : null, raw(order)]);
    show(history, steps, () => timeline(steps));
  };
  every(2, ask, (problem) => show(about, problem.message, () => h('p', {}, problem.message)));
}

export const open = (context) => context.argument ? one(context) : list(context);
