/** Nodes that follow the script of a conformance case. */

import { readFileSync } from "node:fs";
import http from "node:http";
import { fileURLToPath } from "node:url";

/** The folder of all clients. */
export const CLIENT = fileURLToPath(new URL("../..", import.meta.url));

/** The text of a file of the folder of all clients. */
export const read = (path) => readFileSync(`${CLIENT}/${path}`, "utf8");

const codes = new Map(
  read("tests/goldens/error_codes.txt").trim().split("\n").map((line) => {
    const [status, code, upper, outcome] = line.split(" ");
    return [code, { status: Number(status), upper, outcome }];
  }),
);

/** The exchanges of a case, and the requests that came. */
export class Script {
  constructor(exchanges) {
    this.exchanges = exchanges;
    this.requests = [];
    this.urls = [];
    this.servers = [];
  }

  /** Starts `nodes` nodes. Those in `closed` refuse connections. */
  async start(nodes, closed) {
    for (let node = 0; node < nodes; node += 1) {
      const server = http.createServer((request, response) => this.#serve(node, request, response));
      await new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(undefined)));
      this.urls.push(`http://127.0.0.1:${server.address().port}`);
      if (closed.includes(node)) await new Promise((resolve) => server.close(resolve));
      else this.servers.push(server);
    }
  }

  /** Stops all nodes. */
  async end() {
    for (const server of this.servers) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  }

  #serve(node, request, response) {
    const parts = [];
    request.on("data", (part) => parts.push(part));
    request.on("end", () => {
      const text = Buffer.concat(parts).toString();
      const body = text ? JSON.parse(text) : null;
      const key = request.headers["idempotency-key"] ?? body?.idempotency_key ?? null;
      const { method, url: path, headers } = request;
      const at = this.requests.push({ node, method, path, key, headers, body }) - 1;
      send(this.exchanges[at]?.answer ?? { status: 418, text: "unexpected" }, response);
    });
  }
}

function send(answer, response) {
  if (answer.fault === "stall") return;
  if (answer.fault === "close") {
    response.socket.destroy();
    return;
  }
  const { status, headers, content } = rendered(answer);
  if (answer.fault === "cut") {
    response.writeHead(200, { "Content-Length": 500 });
    response.write('{"success": true, "data": {"id": 6}}', () => response.socket.destroy());
  } else if (answer.stream !== undefined) {
    response.writeHead(status, { "Content-Type": "text/event-stream" });
    response.write(content, () => answer.then === "close" && response.end());
  } else {
    response.writeHead(status, status === 204 ? {} : { "Content-Length": Buffer.byteLength(content), ...headers });
    response.end(status === 204 ? undefined : content);
  }
}

function rendered(answer) {
  const headers = { "Content-Type": "application/json", ...answer.headers };
  if (answer.problem) {
    const { status, upper, outcome } = codes.get(answer.problem);
    const problem = {
      type: `/problems/${answer.problem.replaceAll("_", "-")}`, title: "", status, detail: "words", success: false,
      message: "words", error: answer.problem, error_code: upper, outcome, retryable: outcome !== "rejected",
      errors: null, trace_id: "t", ...answer.problem_fields,
    };
    headers["Content-Type"] = "application/problem+json";
    return { status, headers, content: JSON.stringify(problem) };
  }
  const status = answer.status ?? 200;
  if (answer.golden) {
    return { status, headers, content: read(`tests/goldens/${answer.golden}.json`) + " ".repeat(answer.padding ?? 0) };
  }
  if (answer.body) return { status, headers, content: JSON.stringify(answer.body) };
  return { status, headers, content: answer.stream ?? answer.text ?? "" };
}

/** Compares what a case expects with what came. A text such as `$key` is the same everywhere. */
export class Comparison {
  bound = new Map();

  /** Where `actual` is not as expected. It may have more fields. */
  differences(expected, actual, where) {
    if (typeof expected === "string" && expected.startsWith("$")) {
      if (typeof actual === "string" && actual !== "") {
        if (!this.bound.has(expected)) this.bound.set(expected, actual);
        if (this.bound.get(expected) === actual) return [];
      }
      return [`${where}: ${actual} is not ${expected}, which is ${this.bound.get(expected)}`];
    }
    const both = [expected, actual].every((value) => typeof value === "object" && value !== null);
    if (both && Array.isArray(expected) === Array.isArray(actual) && !(Array.isArray(expected) && expected.length !== actual.length)) {
      return Object.entries(expected).flatMap(([name, value]) =>
        this.differences(value, actual[name], `${where}.${name}`),
      );
    }
    return expected === (actual ?? null) ? [] : [`${where}: ${JSON.stringify(actual)} is not ${JSON.stringify(expected)}`];
  }
}
