// One sentence of health, the figures of the last minutes, and the newest events.

import { line, values } from './chart.js';
import { bytes, figures, h, millis, number, rate, show } from './dom.js';
import { health, live, total } from './live.js';
import { feed } from './feed.js';

const series = (name) => live.samples.map((sample) => ({ at: sample.at, value: sample[name] }));

function cards() {
  const { metrics } = live;
  const count = (name) => number(total(metrics, name));
  return figures([
    ['Orders', count('orders_created_total')],
    ['Paid', count('orders_paid_total')],
    ['Units sold', count('units_sold_total')],
    ['Open orders', count('orders_open')],
    ['Active holds', count('holds_active')],
    ['Products', count('products_created_total')],
    ['Free disk, this node', bytes(total(metrics, 'disk_free_bytes'))],
    ['Waiting proposals', count('proposals_pending')],
  ]);
}

function charts() {
  return [
    line('Orders a second', series('orders'), rate),
    line('Payments a second', series('payments'), rate),
    line('Refused orders a second', series('refusals'), rate),
    line('Time to place an order, p99, this node', series('p99'), millis),
  ];
}

const table = () => values('Figures', [
  ['Orders/s', (it) => rate(it.orders)], ['Payments/s', (it) => rate(it.payments)],
  ['Refused/s', (it) => rate(it.refusals)], ['p50', (it) => millis(it.p50)], ['p99', (it) => millis(it.p99)],
], live.samples);

export function open({ root, on }) {
  const lead = h('p', { class: 'lead' });
  const figuresAt = h('div', {});
  const chartsAt = h('div', { class: 'cards wide' });
  const tableAt = h('div', {});
  const asTable = h('details', {}, h('summary', {}, 'Show as table'), tableAt);
  const eventsAt = h('div', {});
  root.append(lead, figuresAt, h('h2', {}, 'Since this page was opened, at most 10 minutes'), chartsAt, asTable,
    h('h2', {}, 'Newest events'), eventsAt);

  const update = () => {
    if (!live.cluster) return show(lead, null, () => 'Asking the node.');
    show(lead, health(live.cluster), () => h('span', { class: health(live.cluster)[1] }, health(live.cluster)[0]));
    show(figuresAt, [...live.metrics].filter(([name]) => !name.startsWith('http_')), cards);
    show(chartsAt, live.samples.at(-1)?.at, charts);
    if (asTable.open) show(tableAt, live.samples.at(-1)?.at, table);
  };
  const newest = () => show(eventsAt, [live.events[0]?.id, live.streams], () => feed(live.events.slice(0, 8)));
  asTable.addEventListener('toggle', update);
  on('state', update);
  on('event', newest);
  on('stream', newest);
  update();
  newest();
}
