// From 0 to 50 users in 2.5 minutes, each with a second between two orders.
import { Counter, Rate } from 'k6/metrics';
import { check, sleep } from 'k6';
import { anyUser, createProduct, placeOrder } from './shop.js';

const created = new Counter('orders_created');
const rejected = new Counter('orders_rejected');
const success = new Rate('order_success_rate');

export const options = {
  stages: [{ duration: '2m30s', target: 50 }],
  summaryTrendStats: ['avg', 'min', 'med', 'max', 'p(95)', 'p(99)'],
  thresholds: {
    http_req_duration: ['p(95)<500', 'p(99)<1000'],
    http_req_failed: ['rate<0.1'],
    order_success_rate: ['rate>0.8'],
  },
};

export function setup() {
  return { product: createProduct('Wireless Mouse', 1000000000) };
}

export default function (data) {
  const answer = placeOrder({
    user_id: anyUser(),
    items: [{ product_id: data.product, quantity: 1 }],
    payment_method: 'mock',
  });
  const placed = answer.status === 201 || answer.status === 200;
  success.add(placed);
  created.add(placed ? 1 : 0);
  rejected.add(answer.status === 409 ? 1 : 0);
  check(answer, {
    'status is 201 or 200': () => placed,
    'response has data.id': (r) => placed && r.json('data.id') > 0,
  });
  sleep(1);
}
