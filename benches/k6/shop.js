// What the scripts share: where the nodes are, how to make a product, how to order.
import http from 'k6/http';
import exec from 'k6/execution';

const NODES = (__ENV.BASE_URL || 'http://127.0.0.1:8080').split(',').map((url) => url.replace(/\/+$/, ''));
const JSON_HEADERS = { 'Content-Type': 'application/json' };

// The node that a virtual user talks to.
function node() {
  return NODES[exec.vu.idInTest % NODES.length];
}

// Makes a product and gives its id. For `setup`.
export function createProduct(name, stock) {
  const body = JSON.stringify({ name: `${name} ${Date.now()}`, price: '299.99', stock });
  const answer = http.post(`${NODES[0]}/api/v1/products`, body, { headers: JSON_HEADERS });
  if (answer.status !== 201) {
    exec.test.abort(`no product: ${answer.status} ${answer.body}`);
  }
  return answer.json('data.id');
}

// Places an order. Statuses in `expected` do not count as failed requests.
export function placeOrder(order, expected) {
  const parameters = { headers: JSON_HEADERS };
  if (expected) {
    parameters.responseCallback = http.expectedStatuses(...expected);
  }
  return http.post(`${node()}/api/v1/orders`, JSON.stringify(order), parameters);
}

// A user id from 1 to 1,000.
export function anyUser() {
  return 1 + Math.floor(Math.random() * 1000);
}

// The count of a counter in the data of a summary.
export function count(data, name) {
  const metric = data.metrics[name];
  return metric ? metric.values.count : 0;
}

// The lines of a verdict, and those of the thresholds of the named metrics.
export function verdict(title, lines, data, metrics) {
  const rule = '═'.repeat(38);
  const passed = metrics.every((name) => thresholds(data, name).every(([, met]) => met));
  const told = lines.map(([name, value, expected]) => `  ${name}${value} (expected: ${expected})`);
  const judged = metrics.flatMap((name) => thresholds(data, name).map(([bound, met]) => {
    const mark = met ? '✓' : '✗';
    return `${mark} ${name.padEnd(32, '.')}: ${String(count(data, name)).padEnd(3)} ${mark} ${bound}`;
  }));
  const word = passed ? 'PASS ✓' : 'FAIL ✗';
  return [rule, `  ${title}`, ...told, `  Verdict: ${word}`, rule, '', ...judged, ''].join('\n');
}

function thresholds(data, name) {
  const metric = data.metrics[name];
  // A counter that was never raised is not in the summary; then nothing is known to be met.
  if (!metric) {
    return [['was never counted', false]];
  }
  return Object.entries(metric.thresholds || {}).map(([bound, { ok }]) => [bound, ok]);
}
