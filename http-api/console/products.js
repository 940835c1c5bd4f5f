// Products with their stock, and one product with its ledger.

import { button } from './action.js';
import { get, getPage } from './api.js';
import { legend, stock } from './chart.js';
import { facts, field, h, number, raw, show, table, tag, time } from './dom.js';

const LIMIT = 100;

/** Drops empty fields, and makes numbers of the named ones. */
function body(values, numbers) {
  const filled = Object.entries(values).filter(([, value]) => value !== '');
  return Object.fromEntries(filled.map(([name, value]) => [name, numbers.includes(name) ? Number(value) : value]));
}

const NUMBERS = ['stock', 'max_per_order', 'max_per_user', 'low_stock_threshold'];
const FIELDS = (product = {}) => [
  ['name', 'Name', { value: product.name }],
  ['price', 'Price', { value: product.price, inputmode: 'decimal' }],
  ['sku', 'SKU', { value: product.sku }],
  ['max_per_order', 'At most per order', { type: 'number', min: 1, value: product.max_per_order }],
  ['max_per_user', 'At most per user', { type: 'number', min: 1, value: product.max_per_user }],
  ['low_stock_threshold', 'Report low stock at', { type: 'number', min: 0, value: product.low_stock_threshold }],
];

/** The fields as flags: `max_per_order` is `--max-per-order`. */
const flags = (fields) => Object.entries(fields).flatMap(([name, value]) => [`--${name.replaceAll('_', '-')}`, value]);

const create = (done) => button('Create a product', () => ({
  title: 'Create a product',
  fields: [...FIELDS(), ['stock', 'Units for sale', { type: 'number', min: 0 }]],
  request: (values) => {
    const fields = body(values, NUMBERS);
    return { method: 'POST', path: '/api/v1/products', body: fields, words: ['products', 'create', ...flags(fields)] };
  },
  done,
}), { class: 'main' });

const edit = (product, done) => button('Edit', () => ({
  title: `Edit product ${product.id}`,
  about: 'Fields that you leave empty stay as they are.',
  fields: FIELDS(product),
  request: (values) => {
    const all = Object.entries(body(values, NUMBERS));
    const fields = Object.fromEntries(all.filter(([name, value]) => value !== product[name]));
    return { method: 'PATCH', path: `/api/v1/products/${product.id}`, body: fields, words: ['products', 'update', product.id, ...flags(fields)] };
  },
  done,
}));

const adjust = (product, done) => button('Adjust stock', () => ({
  title: `Adjust the stock of product ${product.id}`,
  about: `${number(product.stock)} units are for sale. The ledger keeps the reason.`,
  keyed: true,
  fields: [['delta', 'Add units, or remove them if negative', { type: 'number', value: 1 }], ['reason', 'Reason', { value: '' }]],
  request: (values) => ({
    method: 'POST', path: `/api/v1/products/${product.id}/adjustments`,
    body: { delta: Number(values.delta), reason: values.reason },
    words: ['products', 'adjust', product.id, `--by=${values.delta}`, '--reason', values.reason],
  }),
  done,
}));

const archive = (product, done) => button('Archive', () => ({
  title: `Archive product ${product.id}`,
  about: 'It takes no new orders. Open orders still settle.',
  confirm: String(product.id), danger: true,
  request: () => ({ method: 'DELETE', path: `/api/v1/products/${product.id}`, words: ['products', 'archive', product.id] }),
  done,
}), { class: 'danger' });

function state(product) {
  if (product.stock === 0) return tag('sold out');
  const low = product.low_stock_threshold;
  return low !== null && product.stock <= low ? tag('low') : '';
}

function list({ root, filters, every }) {
  const found = h('div', {});
  const only = filters.get('only') ?? '';
  const pick = h('select', { onchange: () => { location.hash = pick.value ? `#/products?only=${pick.value}` : '#/products'; } },
    [['', 'all'], ['available', 'with stock'], ['sold-out', 'sold out'], ['low', 'low or sold out']].map(([value, text]) =>
      h('option', { value, selected: value === only }, text)));
  const cursor = filters.get('cursor');
  const more = h('p', {});
  const fits = (it) => only === 'available' ? it.stock > 0 : only === 'sold-out' ? it.stock === 0 : only === 'low'
    ? it.stock <= (it.low_stock_threshold ?? 0) : true;
  const ask = async () => {
    const from = cursor ? `&cursor=${encodeURIComponent(cursor)}` : '';
    const page = await getPage(`/api/v1/products?limit=${LIMIT}${from}`);
    const rows = page.data.filter(fits);
    show(found, rows, () => table('Products', [
      ['Product', (it) => h('a', { href: `#/products/${it.id}` }, `${it.id} ${it.name}`)],
      ['Price', (it) => it.price, 'number'],
      ['Stock', stock],
      ['Free', (it) => number(it.stock), 'number'],
      ['Held', (it) => number(it.held), 'number'],
      ['Reserved', (it) => number(it.reserved), 'number'],
      ['Sold', (it) => number(it.sold), 'number'],
      ['State', state],
    ], rows, 'No such product.'));
    const next = page.meta?.next_cursor;
    show(more, [next, cursor, only], () => [
      cursor ? h('a', { class: 'button', href: '#/products' }, 'First page') : null, ' ',
      page.meta?.has_more ? h('a', {
        class: 'button', href: `#/products?${new URLSearchParams({ ...(only ? { only } : {}), cursor: next })}`,
      }, `Next ${LIMIT}`) : null]);
  };
  root.append(h('div', { class: 'row' }, field('Show', pick), create(ask)), legend(), found, more);
  every(3, ask, (problem) => show(more, problem.message, () => problem.message));
}

function one({ root, argument, every }) {
  const about = h('div', {});
  const ledger = h('div', {});
  const path = `/api/v1/products/${encodeURIComponent(argument)}`;
  const newest = ledgerOf(path);
  root.append(about, h('h2', {}, 'Ledger, newest first'), ledger);
  const ask = async () => {
    const [product, page] = await Promise.all([get(path), newest()]);
    show(about, product, () => [
      legend(), stock(product),
      facts([
        ['Name', product.name], ['SKU', product.sku], ['Price', product.price],
        ['Free, held, reserved, sold', [product.stock, product.held, product.reserved, product.sold].map(number).join(', ')],
        ['At most per order, per user', `${product.max_per_order ?? 'no limit'}, ${product.max_per_user ?? 'no limit'}`],
        ['Low stock at', product.low_stock_threshold], ['Created', time(product.created_at)], ['Changed', time(product.updated_at)],
      ]),
      h('div', { class: 'row' }, adjust(product, ask), edit(product, ask), archive(product, ask)), raw(product)]);
    show(ledger, page, () => table('Ledger', [
      ['Time', (it) => time(it.time)],
      ['Cause', (it) => it.cause],
      ['Of', (it) => it.reference ? ['order', 'hold'].includes(it.reference.type)
        ? h('a', { href: `#/${it.reference.type}s/${it.reference.id}` }, `${it.reference.type} ${it.reference.id}`)
        : `${it.reference.type} ${it.reference.id}` : it.reason ?? ''],
      ['Change', (it) => Object.entries(it.deltas).filter(([, value]) => value).map(([name, value]) =>
        `${name.replace('_', ' ')} ${value > 0 ? '+' : ''}${number(value)}`).join(', ')],
      ['Free afterwards', (it) => number(it.counters.stock), 'number'],
    ], page));
  };
  every(3, ask, (problem) => show(about, problem.message, () => h('p', {}, problem.message)));
}

const ROWS_SHOWN = 50;

/**
 * Reads the newest rows of a ledger. The API reads it from its beginning, so the first call reads all
 * of it, and later calls only what is new.
 */
function ledgerOf(path) {
  let rows = [];
  return async () => {
    for (let more = true; more;) {
      const last = rows.at(-1);
      const page = await getPage(`${path}/ledger?limit=1000${last ? `&after=${last.index}.${last.line}` : ''}`);
      rows = [...rows, ...page.data].slice(-ROWS_SHOWN);
      more = page.data.length > 0 && page.meta?.has_more;
    }
    return [...rows].reverse();
  };
}

export const open = (context) => context.argument ? one(context) : list(context);
