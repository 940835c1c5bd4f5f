// Payments: paused or not, their results, orders that wait for one, and conflicts.

import { button } from './action.js';
import { get } from './api.js';
import { figures, h, number, show, table, tag, time } from './dom.js';
import { live, total } from './live.js';
import { feed } from './feed.js';

const LIMIT = 50;

const set = (paused) => button(paused ? 'Pause payments' : 'Resume payments', () => ({
  title: paused ? 'Pause payments' : 'Resume payments',
  about: paused ? 'The cluster goes on taking orders, but sends none to the gateway.' : 'Orders that wait are sent to the gateway.',
  request: () => ({
    method: 'POST', path: '/api/v1/cluster/payments', body: { paused }, words: ['payments', paused ? 'pause' : 'resume'],
  }),
}), { class: paused ? 'danger' : 'main', 'data-focus': 'payments' });

function cards() {
  const { metrics } = live;
  const count = (name) => number(total(metrics, name));
  return figures([
    ['Succeeded', count('payment_success_total')],
    ['Declined', count('payment_declined_total')],
    ['No answer', count('payment_no_answer_total')],
    ['Calls running, this node', count('payment_calls_in_flight')],
    ['Open orders', count('orders_open')],
    ['Parked webhooks', count('webhooks_parked')],
    ['Conflicts', number(total(metrics, 'webhooks_total{result="conflict"}'))],
    ['Refused signatures, this node', count('webhook_signatures_refused_total')],
  ]);
}

export function open({ root, on, every }) {
  const lead = h('p', { class: 'lead' });
  const actions = h('div', { class: 'row' });
  const cardsAt = h('div', {});
  const waiting = h('div', {});
  const conflicts = h('div', {});
  root.append(lead, actions, cardsAt, h('h2', {}, 'Orders that wait for a payment'), waiting,
    h('h2', {}, 'Conflicts since this page was opened'), conflicts);
  const update = () => {
    if (!live.cluster) return;
    const paused = live.cluster.payments_paused;
    show(lead, paused, () => paused ? h('span', { class: 'warn' }, 'Payments are paused.') : h('span', { class: 'good' }, 'Payments run.'));
    show(actions, paused, () => set(!paused));
    show(cardsAt, [...live.metrics].filter(([name]) => !name.startsWith('http_')), cards);
  };
  const told = () => {
    const found = live.events.filter((event) => event.type.startsWith('payment.'));
    show(conflicts, found.map((event) => event.id), () => found.length ? feed(found) : h('p', { class: 'soft' }, 'None.'));
  };
  const ask = async () => {
    const [processing, pending] = await Promise.all(['PROCESSING', 'PENDING'].map((status) =>
      get(`/api/v1/orders?status=${status}&limit=${LIMIT}`)));
    const orders = [...processing, ...pending];
    show(waiting, orders, () => table('Orders that wait for a payment', [
      ['Order', (it) => h('a', { href: `#/orders/${it.id}` }, `Order ${it.id}`)],
      ['Status', (it) => tag(it.status)],
      ['Method', (it) => it.payment_method],
      ['Payment', (it) => it.payment_status],
      ['Total', (it) => it.total_amount, 'number'],
      ['Created', (it) => time(it.created_at)],
    ], orders, 'None.'));
  };
  on('state', update);
  on('event', told);
  update();
  told();
  every(2, ask, (problem) => show(waiting, problem.message, () => h('p', {}, problem.message)));
}
