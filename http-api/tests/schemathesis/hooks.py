"""Tells the schema fuzzer what the API document cannot say about values."""

import hashlib
import hmac
import os
import re
import time

import requests
import schemathesis
from schemathesis.generation import GenerationMode


SECRET = os.environ["HOLDFAST_TEST_SECRET"].encode()


class SignedWebhooks(requests.auth.AuthBase):
    """Signs the bytes that are about to be sent, unless the request brings a signature."""

    def __call__(self, request):
        if "Holdfast-Signature" not in request.headers:
            body = request.body or b""
            body = body.encode() if isinstance(body, str) else body
            moment = str(int(time.time()))
            mac = hmac.new(SECRET, moment.encode() + b"." + body, hashlib.sha256).hexdigest()
            request.headers["Holdfast-Signature"] = f"t={moment},v1={mac}"
        return request


@schemathesis.hook
def before_call(context, case, kwargs):
    # A read at a position that the node has not reached waits and then answers 503, as it should.
    # So every valid position becomes 1, which was reached. Invalid ones stay.
    position = case.headers.get("X-Min-Position") if case.headers else None
    if position is not None and str(position).isascii() and str(position).isdigit() and int(position) < 2**53:
        case.headers["X-Min-Position"] = "1"
    if case.path.endswith("/payments/webhook"):
        kwargs["auth"] = SignedWebhooks()


# Why a request of the documented shape may still be refused: what only the state knows, and the
# bounds that JSON Schema has no words for.
REFUSALS = re.compile(
    "already been taken"
    # 1.0 is an integer to a schema; this API wants integers written as such.
    "|must be an integer"
    "|must not be greater than [0-9]+ bytes"
    "|cannot be combined with (page or per_page|product_id)"
    # Rules between two fields.
    "|must be later than the opens_at field"
    "|it must be at most max_per_(order|user), which is"
    "|must be among .* with a user_id"
    # Lines of a refund that the order does not have, or not so many units of.
    "|lines field is invalid"
    # A settlement as paid names the payment.
    "|provider ref field is required"
    # Finer than a millisecond, or before 1970.
    "|must be a time as in"
    # The thirtieth of February.
    "|must be a time such as"
    # The longest life of a hold is a setting.
    "|ttl seconds field must not be greater than"
    "|must not differ from the quantity field"
    # It may stand in the header instead.
    "|idempotency key field is required"
    # A product with a limit per user is for users only, and a user's hold for that user.
    "|user id field is required"
    "|must name the user of hold"
    "|named by an earlier order of the batch"
    "|differs from the atomic parameter"
    "|total amount is too large"
    "|stock would be too large"
)


@schemathesis.check
def documented_requests_are_understood(context, response, case):
    if case.meta is None or case.meta.generation.mode != GenerationMode.POSITIVE:
        return
    if response.status_code not in (400, 422):
        return
    if case.headers and case.headers.get("If-Match") == "":
        # The fuzzer sends an empty header in place of a missing one.
        return
    # Where a client asks for it, fields that the document does not name are refused.
    is_strict = "strict" in str((case.headers or {}).get("Prefer", ""))
    problem = response.json()
    assert problem["error"] != "malformed_request", problem["detail"]
    for field, texts in (problem["errors"] or {}).items():
        for text in texts:
            if is_strict and text.startswith("This field is unknown;"):
                continue
            assert REFUSALS.search(text), f"{field}: {text}"
