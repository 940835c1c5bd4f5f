// 50 requests under one key: exactly one order, which the other 49 are answered with.
import { Counter } from 'k6/metrics';
import { check } from 'k6';
import { count, createProduct, placeOrder, verdict } from './shop.js';

const created = new Counter('orders_created_total');
const existing = new Counter('orders_existing_total');
const unexpected = new Counter('orders_unexpected_total');

export const options = {
  scenarios: {
    idempotency: { executor: 'per-vu-iterations', vus: 50, iterations: 1, maxDuration: '30s' },
  },
  thresholds: {
    orders_created_total: ['count==1'],
    orders_existing_total: ['count==49'],
    orders_unexpected_total: ['count==0'],
  },
};

export function setup() {
  return { product: createProduct('Laptop Pro', 1000), key: `k6-same-key-${Date.now()}` };
}

export default function (data) {
  const answer = placeOrder({
    user_id: 1,
    items: [{ product_id: data.product, quantity: 1 }],
    idempotency_key: data.key,
  });
  created.add(answer.status === 201 ? 1 : 0);
  existing.add(answer.status === 200 ? 1 : 0);
  unexpected.add(answer.status === 201 || answer.status === 200 ? 0 : 1);
  check(answer, { 'status is 201 or 200': (r) => r.status === 201 || r.status === 200 });
}

export function handleSummary(data) {
  const lines = [
    ['Created (201):    ', count(data, 'orders_created_total'), 1],
    ['Existing (200):   ', count(data, 'orders_existing_total'), 49],
    ['Unexpected:       ', count(data, 'orders_unexpected_total'), 0],
  ];
  const metrics = ['orders_created_total', 'orders_existing_total', 'orders_unexpected_total'];
  return { stdout: `${verdict('IDEMPOTENCY TEST RESULTS', lines, data, metrics)}\n` };
}
