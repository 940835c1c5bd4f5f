"""Signatures of payment webhooks: `t=<seconds>,v1=<HMAC-SHA256 of "<seconds>.<body>" in hex>`."""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from typing import Optional, Sequence

from .errors import InvalidSignature

SIGNATURE_HEADER = "Holdfast-Signature"

_SIGNATURES_MAX = 8


def sign_webhook(body: bytes, secrets: Sequence[str], *, timestamp: Optional[int] = None) -> str:
    """The value of the header `Holdfast-Signature` for a body, with one `v1` for each secret.

    `timestamp` is in seconds since 1970; by default it is now.
    """
    if not secrets or not all(secrets):
        raise ValueError("signing needs at least one secret, and no secret may be empty")
    moment = str(int(time.time()) if timestamp is None else timestamp)
    return ",".join([f"t={moment}", *(f"v1={_mac(moment, body, secret)}" for secret in secrets)])


def verify_webhook(
    body: bytes,
    signature: Optional[str],
    secrets: Sequence[str],
    *,
    tolerance_s: int = 300,
    now: Optional[float] = None,
) -> None:
    """Checks the header `Holdfast-Signature` of a request with exactly this body.

    Give all valid secrets; one match is enough. Raises `InvalidSignature` when none matches, or when
    the signature was made more than `tolerance_s` seconds before or after now.
    """
    if not secrets or not all(secrets):
        raise ValueError("verifying needs at least one secret, and no secret may be empty")
    moment, signatures = None, []
    for part in (signature or "").split(","):
        name, equals, value = part.strip().partition("=")
        if not equals or (name == "t" and moment is not None):
            raise InvalidSignature("the signature is not of the form t=…,v1=…")
        if name == "t":
            moment = value
        elif name == "v1":
            signatures.append(value.lower())
    well_formed = all(re.fullmatch("[0-9a-f]{64}", value) for value in signatures)
    if (
        moment is None
        or not re.fullmatch("[0-9]{1,19}", moment)
        or not 1 <= len(signatures) <= _SIGNATURES_MAX
        or not well_formed
    ):
        raise InvalidSignature("the signature is not of the form t=…,v1=…")
    genuine = False
    for secret in secrets:
        expected = _mac(moment, body, secret)
        for value in signatures:
            genuine |= hmac.compare_digest(expected, value)
    if not genuine:
        raise InvalidSignature("no signature matches the body")
    if abs(int(moment) - (time.time() if now is None else now)) > tolerance_s:
        raise InvalidSignature(f"the signature was made more than {tolerance_s} seconds from now")


def _mac(moment: str, body: bytes, secret: str) -> str:
    return hmac.new(secret.encode(), moment.encode() + b"." + body, hashlib.sha256).hexdigest()
