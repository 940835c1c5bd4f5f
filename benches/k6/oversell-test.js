// 50 users race for the last unit: exactly one order, 49 refusals.
import { Counter } from 'k6/metrics';
import { check } from 'k6';
import { anyUser, count, createProduct, placeOrder, verdict } from './shop.js';

const created = new Counter('orders_created_total');
const rejected = new Counter('orders_rejected_total');
const unexpected = new Counter('orders_unexpected_total');

export const options = {
  scenarios: {
    oversell: { executor: 'per-vu-iterations', vus: 50, iterations: 1, maxDuration: '30s' },
  },
  thresholds: {
    orders_created_total: ['count==1'],
    orders_rejected_total: ['count==49'],
    orders_unexpected_total: ['count==0'],
  },
};

export function setup() {
  return { product: createProduct('Limited Edition Headphones', 1) };
}

export default function (data) {
  const answer = placeOrder(
    {
      user_id: anyUser(),
      items: [{ product_id: data.product, quantity: 1 }],
      // A payment that is refused would give the unit back, for another user to take.
      payment_method: 'none',
    },
    [201, 409],
  );
  created.add(answer.status === 201 ? 1 : 0);
  rejected.add(answer.status === 409 ? 1 : 0);
  unexpected.add(answer.status === 201 || answer.status === 409 ? 0 : 1);
  check(answer, { 'status is 201 or 409': (r) => r.status === 201 || r.status === 409 });
}

export function handleSummary(data) {
  const lines = [
    ['Orders Created:  ', count(data, 'orders_created_total'), 1],
    ['Orders Rejected: ', count(data, 'orders_rejected_total'), 49],
  ];
  const metrics = ['orders_created_total', 'orders_rejected_total', 'orders_unexpected_total'];
  return { stdout: `${verdict('OVERSELL TEST RESULTS', lines, data, metrics)}\n` };
}
