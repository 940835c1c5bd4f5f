"""A payment service for Holdfast: `python3 payment_service.py PORT SECRET_FILE [DATABASE]`.

It keeps docs/GATEWAY.md with the standard library alone. Replace `charge` and `refund` by calls to your provider,
under the same idempotency key.
"""

import hashlib
import hmac
import json
import sqlite3
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PORT, SECRET_FILE = int(sys.argv[1]), sys.argv[2]
SECRETS = [line.strip().encode() for line in open(SECRET_FILE) if line.strip()]
db = sqlite3.connect(sys.argv[3] if len(sys.argv) > 3 else ":memory:", check_same_thread=False, isolation_level=None)
db.execute("CREATE TABLE IF NOT EXISTS done (key TEXT PRIMARY KEY, request TEXT, answer TEXT)")
one_at_a_time = threading.Lock()


def charge(body):
    if body["amount_minor"] % 1000 == 13:
        return {"status": "declined", "reason": "card declined"}
    return {"status": "succeeded", "ref": "p-" + body["key"], "amount_minor": body["amount_minor"]}


def refund(body):
    return {"status": "succeeded", "ref": "r-" + body["key"], "amount_minor": body["amount_minor"]}


class Service(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def is_signed(self, key, raw):
        parts = [part.split("=", 1) for part in self.headers.get("Holdfast-Signature", "").split(",") if "=" in part]
        moment = next((value for name, value in parts if name == "t" and value.isdigit()), "0")
        text = f"{moment}.{self.command}.{self.path}.{key}.".encode() + raw
        good = {hmac.new(secret, text, hashlib.sha256).hexdigest() for secret in SECRETS}
        matches = [hmac.compare_digest(value, wanted) for name, value in parts if name == "v1" for wanted in good]
        return any(matches) and abs(time.time() - int(moment)) <= 300

    def handle_request(self):
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        key = self.headers.get("Idempotency-Key", "")
        if not self.is_signed(key, raw):
            return self.answer(401, {"error": "signature"})
        kinds = {f"/v1/payments/{key}": charge, f"/v1/refunds/{key}": refund}
        if self.path not in kinds:
            return self.answer(400, {"error": "the path and Idempotency-Key differ"})
        with one_at_a_time:
            row = db.execute("SELECT request, answer FROM done WHERE key = ?", (self.path,)).fetchone()
            request, known = (row[0], json.loads(row[1])) if row else (None, None)
            if self.command == "GET":
                return self.answer(200, known) if row else self.answer(404, {"status": "unseen"})
            if self.command == "DELETE":
                if not row:  # Fence the key: a charge that comes later must not take money.
                    known = {"status": "declined", "reason": "cancelled"}
                    db.execute("INSERT INTO done VALUES (?, '', ?)", (self.path, json.dumps(known)))
                return self.answer(200, known)
            if row and request not in ("", raw.decode()):
                return self.answer(422, {"error": "the key was used for another request"})
            if not row:
                known = kinds[self.path](json.loads(raw))
                db.execute("INSERT INTO done VALUES (?, ?, ?)", (self.path, raw.decode(), json.dumps(known)))
            self.answer(200, known)

    do_GET = do_PUT = do_DELETE = handle_request

    def answer(self, status, body):
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


ThreadingHTTPServer(("127.0.0.1", PORT), Service).serve_forever()
