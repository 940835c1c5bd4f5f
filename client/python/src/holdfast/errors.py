"""Why a call did not succeed. The class says what is known about its effect."""

from __future__ import annotations

from typing import Dict, List, Optional, Type

from .wire import Problem


class HoldfastError(Exception):
    """A call that failed: always `Rejected`, `NotApplied` or `Unknown`."""

    outcome = ""
    """`rejected`, `not_applied` or `unknown`."""

    def __init__(
        self,
        detail: str,
        *,
        status: Optional[int] = None,
        problem: Optional[Problem] = None,
        trace_id: str = "",
        idempotency_key: Optional[str] = None,
        attempts: int = 0,
        url: str = "",
    ) -> None:
        self.detail = detail
        """What went wrong in the last attempt, with which value."""
        self.status = status
        """The HTTP status of the last answer; None when the last attempt got none."""
        self.problem = problem
        """The whole error of the server, if it sent one."""
        self.code: Optional[str] = problem["error"] if problem else None
        """The error code, such as `insufficient_stock`; None without a problem."""
        self.errors: Optional[Dict[str, List[str]]] = problem.get("errors") if problem else None
        """For `validation_error`: what is wrong, by field."""
        self.trace_id = trace_id
        """The id under which the servers log the request."""
        self.idempotency_key = idempotency_key
        """The key of the call: send the request again with it to learn an unknown outcome."""
        self.attempts = attempts
        """Attempts made, at least 1."""
        self.url = url
        """The base URL of the last attempt."""
        code = f"{self.code}: " if self.code else ""
        plural = "" if attempts == 1 else "s"
        super().__init__(f"{self.outcome} after {attempts} attempt{plural}: {code}{detail}")


class Rejected(HoldfastError):
    """The server refused the request: no attempt of the call has or will have an effect."""

    outcome = "rejected"


class NotApplied(HoldfastError):
    """The request certainly has no effect, but was not refused: it may be sent again."""

    outcome = "not_applied"


class Unknown(HoldfastError):
    """The request may have taken effect, or still may.

    Send it again with `idempotency_key`, or look that key up with `Client.order_by_key`.
    """

    outcome = "unknown"


class EventsGone(Rejected):
    """The events to resume after are no longer all retained: read the current state, then subscribe anew."""


class InvalidSignature(ValueError):
    """A webhook's signature is missing, malformed, wrong or too old."""


CLASSES: Dict[str, Type[HoldfastError]] = {
    kind.outcome: kind for kind in (Rejected, NotApplied, Unknown)
}
