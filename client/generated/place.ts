// Places an order through the client that openapi-generator made: node place.js URL
import { Configuration, OrdersApi, Outcome, ProblemFromJSON, ResponseError } from './generated/index.js';

declare const process: { argv: string[] };

function must(holds: boolean, what: string): asserts holds {
  if (!holds) throw new Error(what);
}

const orders = new OrdersApi(new Configuration({ basePath: process.argv[2] }));
const key = crypto.randomUUID();
const request = (quantity: number) => ({ userId: 1, items: [{ productId: 1, quantity }] });

const placed = await orders.placeOrder({ idempotencyKey: key, orderRequest: request(1) });
must(placed.data.items[0]?.productId === 1, 'not the line that was asked for');
const again = await orders.placeOrder({ idempotencyKey: key, orderRequest: request(1) });
must(again.data.id === placed.data.id, 'not the same order');
const refused: unknown = await orders.placeOrder({ orderRequest: request(1_000_000) }).catch((error) => error);
must(refused instanceof ResponseError, `not refused: ${refused}`);
const problem = ProblemFromJSON(await refused.response.json());
must(problem.error === 'insufficient_stock' && problem.outcome === Outcome.Rejected, `${problem.error}`);
console.log(JSON.stringify({ order: placed.data.id }));
