/** Signatures of payment webhooks: `t=<seconds>,v1=<HMAC-SHA256 of "<seconds>.<body>" in hex>`. */

import { InvalidSignature } from "./errors.js";

/** The header that carries the signature. */
export const SIGNATURE_HEADER = "Holdfast-Signature";

const SIGNATURES_MAX = 8;
const MALFORMED = "the signature is not of the form t=…,v1=…";

/**
 * The value of the header `Holdfast-Signature` for a body, with one `v1` for each secret.
 *
 * `timestamp` is in seconds since 1970; by default it is now.
 */
export async function signWebhook(
  body: string | Uint8Array,
  secrets: readonly string[],
  options: { timestamp?: number } = {},
): Promise<string> {
  const moment = String(options.timestamp ?? Math.floor(Date.now() / 1000));
  const parts = [`t=${moment}`];
  for (const key of await keysOf(secrets, "sign")) {
    const mac = new Uint8Array(await crypto.subtle.sign("HMAC", key, signed(moment, body)));
    parts.push(`v1=${Array.from(mac, (byte) => byte.toString(16).padStart(2, "0")).join("")}`);
  }
  return parts.join(",");
}

/**
 * Checks the header `Holdfast-Signature` of a request with exactly this body: pass the bytes as they came.
 *
 * Give all valid secrets; one match is enough. Throws `InvalidSignature` when none matches, or when the
 * signature was made more than `toleranceS` seconds (300) before or after `now` (seconds since 1970).
 */
export async function verifyWebhook(
  body: string | Uint8Array,
  signature: string | null | undefined,
  secrets: readonly string[],
  options: { toleranceS?: number; now?: number } = {},
): Promise<void> {
  const keys = await keysOf(secrets, "verify");
  const toleranceS = options.toleranceS ?? 300;
  let moment: string | undefined;
  const signatures: string[] = [];
  for (const part of (signature ?? "").split(",")) {
    const [name, value] = split(part.trim());
    if (value === undefined || (name === "t" && moment !== undefined)) throw new InvalidSignature(MALFORMED);
    if (name === "t") moment = value;
    if (name === "v1") signatures.push(value);
  }
  const wellFormed = signatures.every((value) => /^[0-9a-f]{64}$/i.test(value));
  const count = signatures.length;
  if (moment === undefined || !/^[0-9]{1,19}$/.test(moment) || !wellFormed || count < 1 || count > SIGNATURES_MAX) {
    throw new InvalidSignature(MALFORMED);
  }
  let genuine = false;
  for (const key of keys) {
    for (const value of signatures) {
      const mac = Uint8Array.from(value.match(/../g) ?? [], (pair) => parseInt(pair, 16));
      // Compares in constant time.
      genuine = (await crypto.subtle.verify("HMAC", key, mac, signed(moment, body))) || genuine;
    }
  }
  if (!genuine) throw new InvalidSignature("no signature matches the body");
  if (Math.abs(Number(moment) - (options.now ?? Date.now() / 1000)) > toleranceS) {
    throw new InvalidSignature(`the signature was made more than ${toleranceS} seconds from now`);
  }
}

async function keysOf(secrets: readonly string[], usage: "sign" | "verify"): Promise<CryptoKey[]> {
  if (secrets.length === 0 || secrets.includes("")) {
    throw new RangeError("at least one secret is needed, and no secret may be empty");
  }
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const key = (secret: string) =>
    crypto.subtle.importKey("raw", new TextEncoder().encode(secret), algorithm, false, [usage]);
  return Promise.all(secrets.map(key));
}

function signed(moment: string, body: string | Uint8Array): Uint8Array<ArrayBuffer> {
  const head = new TextEncoder().encode(`${moment}.`);
  const content = typeof body === "string" ? new TextEncoder().encode(body) : body;
  const whole = new Uint8Array(head.length + content.length);
  whole.set(head);
  whole.set(content, head.length);
  return whole;
}

function split(part: string): [string, string | undefined] {
  const at = part.indexOf("=");
  return at < 0 ? [part, undefined] : [part.slice(0, at), part.slice(at + 1)];
}
