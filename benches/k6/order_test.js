// 100 users who order as fast as they can for 30 seconds.
import { check } from 'k6';
import { anyUser, createProduct, placeOrder } from './shop.js';

export const options = {
  vus: 100,
  duration: '30s',
  thresholds: {
    checks: ['rate==1'],
    http_req_failed: ['rate<0.01'],
  },
};

export function setup() {
  return { product: createProduct('order_test', 1000000000) };
}

export default function (data) {
  const answer = placeOrder({
    user_id: anyUser(),
    items: [{ product_id: data.product, quantity: 1 }],
    payment_method: 'mock',
  });
  check(answer, { 'status is 201': (r) => r.status === 201 });
}
