// Events as a list.

import { h, time } from './dom.js';

const link = (path, text) => h('a', { href: `#/${path}` }, text);

function about(event) {
  const parts = [];
  if (event.order_id) parts.push(link(`orders/${event.order_id}`, `order ${event.order_id}`));
  if (event.hold_id) parts.push(link(`holds/${event.hold_id}`, `hold ${event.hold_id}`));
  for (const id of event.product_ids ?? (event.product_id ? [event.product_id] : [])) {
    parts.push(link(`products/${id}`, `product ${id}`));
  }
  for (const item of event.items ?? []) parts.push(`${item.quantity} of product ${item.product_id}`);
  if (event.user_id) parts.push(`user ${event.user_id}`);
  if (event.total_amount) parts.push(event.total_amount);
  if (event.delta) parts.push(`${event.delta > 0 ? '+' : ''}${event.delta} units`);
  if (event.available_stock !== undefined) parts.push(`${event.available_stock} left`);
  if (event.reason) parts.push(event.reason);
  return parts.flatMap((part, place) => place ? [', ', part] : [part]);
}

/** The events, newest first. */
export function feed(events) {
  if (events.length === 0) return h('p', { class: 'soft' }, 'No event since this page was opened.');
  return h('ul', { class: 'feed' }, events.map((event) => h('li', {},
    time(event.timestamp), h('b', {}, event.type), h('span', {}, about(event)))));
}
