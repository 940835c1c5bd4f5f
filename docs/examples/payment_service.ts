// A payment service for Holdfast: `node payment_service.ts PORT SECRET_FILE [JOURNAL]`.
//
// Node 22.18 or newer runs it as it is. Node 20 runs what `tsc` makes of it; the types are in @types/node.
// It keeps docs/GATEWAY.md with Node alone. Replace `charge` and `refund` by calls to your provider, under
// the same idempotency key.

import { createHmac, timingSafeEqual } from "node:crypto";
import { existsSync, fsyncSync, openSync, readFileSync, truncateSync, writeSync } from "node:fs";
import { createServer } from "node:http";

type Answer = { status: string; [field: string]: unknown };
type Row = { path: string; request: string; answer: Answer };

const [port, secretFile, journal] = process.argv.slice(2);
const secrets = readFileSync(secretFile!, "utf8").split("\n").map((line) => line.trim()).filter(Boolean);
const done = new Map<string, Row>();
if (journal && existsSync(journal)) {
  // What follows the last line end was not written to its end, and nobody was told.
  const bytes = readFileSync(journal);
  const whole = bytes.subarray(0, bytes.lastIndexOf("\n") + 1);
  truncateSync(journal, whole.length);
  for (const line of whole.toString().split("\n").filter(Boolean)) {
    const row: Row = JSON.parse(line);
    done.set(row.path, row);
  }
}
// Without a journal the service forgets its payments when it ends: for a trial.
const file = journal ? openSync(journal, "a", 0o600) : undefined;

function keep(row: Row): void {
  if (file !== undefined) {
    writeSync(file, JSON.stringify(row) + "\n");
    fsyncSync(file);
  }
  done.set(row.path, row);
}

function charge(body: { key: string; amount_minor: number }): Answer {
  if (body.amount_minor % 1000 === 13) return { status: "declined", reason: "card declined" };
  return { status: "succeeded", ref: `p-${body.key}`, amount_minor: body.amount_minor };
}

function refund(body: { key: string; amount_minor: number }): Answer {
  return { status: "succeeded", ref: `r-${body.key}`, amount_minor: body.amount_minor };
}

function isSigned(header: string, signed: string): boolean {
  const parts = header.split(",").map((part) => part.split("=", 2));
  const moment = parts.find(([name]) => name === "t")?.[1] ?? "";
  if (!/^\d+$/.test(moment) || Math.abs(Date.now() / 1000 - Number(moment)) > 300) return false;
  const good = secrets.map((secret) => createHmac("sha256", secret).update(`${moment}.${signed}`).digest());
  const given = parts.filter(([name]) => name === "v1").map(([, hex]) => Buffer.from(hex ?? "", "hex"));
  return given.some((one) => good.some((other) => one.length === other.length && timingSafeEqual(one, other)));
}

function decide(method: string, path: string, key: string, header: string, raw: string): [number, Answer | object] {
  if (!isSigned(header, `${method}.${path}.${key}.${raw}`)) return [401, { error: "signature" }];
  const isRefund = path === `/v1/refunds/${key}`;
  if (!isRefund && path !== `/v1/payments/${key}`) return [400, { error: "the path and Idempotency-Key differ" }];
  const row = done.get(path);
  const save = (request: string, answer: Answer): [number, Answer] => {
    keep({ path, request, answer });
    return [200, answer];
  };
  if (method === "GET" && !row) return [404, { status: "unseen" }];
  // A charge that comes after DELETE must not take money.
  if (method === "DELETE" && !row) return save("", { status: "declined", reason: "cancelled" });
  if (method === "PUT" && !row) return save(raw, (isRefund ? refund : charge)(JSON.parse(raw)));
  if (method === "PUT" && row!.request !== raw && row!.request !== "") {
    return [422, { error: "the key was used for another request" }];
  }
  return [200, row!.answer];
}

createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("end", () => {
    const header = (name: string) => String(request.headers[name] ?? "");
    const raw = Buffer.concat(chunks).toString();
    const [status, body] = decide(
      request.method!, request.url!, header("idempotency-key"), header("holdfast-signature"), raw,
    );
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
  });
}).listen(Number(port), "127.0.0.1");
