"""A call: one request of the caller with all its attempts, until it succeeds, is refused or runs out of time."""

from __future__ import annotations

import json
import random
import time
import uuid
from dataclasses import dataclass, field, replace
from http.client import HTTPMessage
from typing import Any, Callable, Dict, Mapping, Optional, Tuple

from ._endpoints import Endpoints
from ._transport import AttemptFailed, Transport
from .answer import Answer, Page
from .errors import CLASSES, EventsGone, HoldfastError

READ = "read"
"""Has no effect, however often it is sent."""
KEYED = "keyed"
"""A write under an idempotency key: takes effect at most once."""
CANCEL = "cancel"
"""The second request finds the order cancelled or the hold released, and succeeds."""
REPLACE = "replace"
"""The second request writes the same values again."""
ONCE = "once"
"""A second request may take effect twice, or be refused because of the first."""

# The least time before the deadline at which another attempt starts, in seconds.
ANSWER_TIME_MIN_S = 0.01

# Refusals that hold for every earlier attempt too, by what a second request does.
_SETTLING = {
    KEYED: {"key_fenced", "idempotency_key_reused"},
    CANCEL: {"order_not_cancellable", "hold_expired", "hold_consumed"},
}

_POSITION_LIMIT = 2**53


@dataclass(frozen=True)
class Settings:
    """What bounds a call; see `Client`."""

    deadline_s: float = 15.0
    attempt_timeout_s: float = 6.0
    stall_timeout_s: float = 1.5
    attempts_max: Optional[int] = None
    backoff_base_s: float = 0.05
    backoff_max_s: float = 2.0
    silence_timeout_s: float = 5.0

    def check(self) -> None:
        """Raises ValueError for a setting that cannot work."""
        for name, value in vars(self).items():
            if value is not None and not 0 < value <= 86_400:
                raise ValueError(f"{name} must be above 0 and at most 86400, not {value!r}")


class Session:
    """The highest position seen."""

    def __init__(self, position: int) -> None:
        self.position = position

    def observe(self, position: Optional[int]) -> None:
        """Raises the position."""
        if position is not None and position > self.position:
            self.position = position


@dataclass(frozen=True)
class Scope:
    """What the clones of a client do not share."""

    settings: Settings = field(default_factory=Settings)
    stale: bool = False
    trace_id: Optional[str] = None
    token: Optional[str] = None
    node: Optional[int] = None
    session: Optional[Session] = None


@dataclass(frozen=True)
class Call:
    """What to send, the same in every attempt."""

    method: str
    path: str
    repeat: str = READ
    body: Optional[bytes] = None
    key: Optional[str] = None
    headers: Mapping[str, str] = field(default_factory=dict)
    also_answers: Optional[int] = None
    decode: Callable[[Any], Any] = lambda body: body


@dataclass(frozen=True)
class Failure:
    """One failed attempt."""

    outcome: str
    detail: str
    retryable: bool = True
    unreachable: bool = False
    connected: bool = True
    status: Optional[int] = None
    retry_after_s: float = 0.0
    problem: Any = None
    unreadable: bool = False


def encode(value: Any) -> bytes:
    """JSON of a request. `Decimal` becomes text, as the API expects amounts."""
    return json.dumps(value, default=str, ensure_ascii=False, separators=(",", ":")).encode()


def run(
    call: Call, scope: Scope, endpoints: Endpoints, transport: Transport, deadline: Optional[float] = None
) -> Answer[Any]:
    """Executes the call until `deadline` on the monotonic clock."""
    settings = scope.settings
    headers, trace_id = request_headers(call, scope)
    now = time.monotonic()
    if deadline is None:
        deadline = now + settings.deadline_s
    index = endpoints.first(now) if scope.node is None else scope.node
    count = 1 if scope.node is not None else len(endpoints.urls)
    attempts, doubt = 0, False
    while True:
        attempts += 1
        url = endpoints.urls[index]
        within_s = min(_attempt_s(call.repeat, attempts, count, settings), deadline - time.monotonic())
        try:
            sent = transport.send(url, call.method, call.path, headers, call.body, max(within_s, 0.001))
            result = judge(call, scope, url, *sent)
        except AttemptFailed as error:
            result = on_the_way(error)
        if isinstance(result, Answer):
            endpoints.works(index)
            return replace(result, attempts=attempts, trace_id=result.trace_id or trace_id)
        now = time.monotonic()
        note(endpoints, index, result, now)
        wait_s = wait_after(call.repeat, result, attempts, count, deadline - now, settings)
        if wait_s is None:
            outcome = _outcome_of(call.repeat, result, doubt)
            raise error_of(outcome, result, call.key, trace_id, attempts, url)
        doubt = doubt or result.outcome == "unknown"
        time.sleep(wait_s)
        if scope.node is None:
            index = endpoints.next_after(index, time.monotonic())


def error_of(
    outcome: str, failure: Failure, key: Optional[str], trace_id: str, attempts: int, url: str
) -> HoldfastError:
    """The error of a call whose last attempt failed so."""
    gone = failure.problem is not None and failure.problem["error"] == "events_gone"
    kind = EventsGone if gone else CLASSES[outcome]
    return kind(
        failure.detail,
        status=failure.status,
        problem=failure.problem,
        trace_id=(failure.problem or {}).get("trace_id") or trace_id,
        idempotency_key=key,
        attempts=attempts,
        url=url,
    )


def request_headers(call: Call, scope: Scope, accept: str = "application/json") -> Tuple[Dict[str, str], str]:
    """The headers of every attempt, and the trace id in them."""
    trace_id = scope.trace_id or str(uuid.uuid4())
    headers = {"Accept": accept, "X-Trace-Id": trace_id, **call.headers}
    if call.body is not None:
        headers["Content-Type"] = "application/json"
    if scope.token is not None:
        headers["Authorization"] = f"Bearer {scope.token}"
    if call.repeat == READ:
        if scope.stale:
            headers["X-Consistency"] = "stale"
        if scope.session is not None and scope.session.position > 0:
            headers["X-Min-Position"] = str(scope.session.position)
    return headers, trace_id


def judge(call: Call, scope: Scope, url: str, status: int, headers: HTTPMessage, body: bytes) -> Any:
    """An `Answer` for a success, else a `Failure`."""
    position = _position(headers.get("X-Position"))
    if scope.session is not None:
        scope.session.observe(position)
    is_problem = (headers.get("Content-Type") or "").strip().startswith("application/problem+json")
    if is_problem or not (200 <= status < 300 or status == call.also_answers):
        return refusal(status, headers, body, url)
    try:
        content = json.loads(body) if status != 204 else {}
        if not isinstance(content, dict) or content.get("success", True) is not True:
            raise ValueError("the body is not that of a success")
        data = call.decode(content) if status != 204 else None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        # Something took the request: it may have taken effect.
        detail = f"status {status} from {url} with an unreadable body: {error}"
        return Failure("unknown", detail, status=status, unreadable=True)
    known: Dict[str, Any] = {
        "data": data,
        "status": status,
        "replayed": headers.get("Idempotent-Replayed") == "true",
        "position": position,
        "trace_id": headers.get("X-Trace-Id") or "",
        "idempotency_key": call.key,
        "attempts": 1,
        "url": url,
    }
    if "meta" in content:
        return Page(meta=content["meta"], **known)
    return Answer(**known)


def refusal(status: int, headers: HTTPMessage, body: bytes, url: str) -> Failure:
    """Judges an answer that is not a success.

    A problem knows its outcome. Without one, the answer may come from something between client and
    server, which cannot know the effect. Then only a status that refuses the request is certain.
    """
    problem = _problem(status, body)
    after = (headers.get("Retry-After") or "").strip()
    # The form with a date is ignored: it would need the server's clock.
    retry_after_s = float(after) if after.isascii() and after.isdigit() else 0.0
    if problem is None:
        if status in (408, 429):
            outcome = "not_applied"
        else:
            outcome = "rejected" if 400 <= status < 500 else "unknown"
        detail = f"status {status} from {url} without a readable problem"
        return Failure(outcome, detail, status=status, retry_after_s=retry_after_s)
    suggested = problem.get("retry_after")
    if not after and isinstance(suggested, int):
        retry_after_s = float(suggested)
    return Failure(
        # 504 means unknown, whatever else the body says.
        outcome="unknown" if status == 504 else problem["outcome"],
        detail=problem.get("detail") or problem["error"],
        retryable=problem.get("retryable") is True,
        status=status,
        retry_after_s=retry_after_s,
        problem=problem,
    )


def on_the_way(error: AttemptFailed) -> Failure:
    """The failure of an attempt that got no complete answer."""
    return Failure(
        "not_applied" if error.kind == "connect" else "unknown",
        str(error),
        # The answer to a retry would be as long.
        retryable=error.kind != "too_large",
        unreachable=error.kind != "too_large",
        connected=error.kind != "connect",
    )


def note(endpoints: Endpoints, index: int, failure: Failure, now: float) -> None:
    """Records what a failed attempt says about its node."""
    if failure.outcome == "rejected" and failure.problem is not None:
        endpoints.works(index)
    else:
        endpoints.failed(index, failure.unreachable, now)


def wait_after(
    repeat: str, failure: Failure, attempts: int, count: int, left_s: float, settings: Settings
) -> Optional[float]:
    """Seconds to wait before the next attempt, or None when there is to be none."""
    may_repeat = failure.retryable and (
        failure.outcome == "not_applied"
        # A server that took the request and whose answer is lost is asked again under the key only.
        or (failure.outcome == "unknown" and repeat != ONCE and not failure.unreadable)
        or (failure.unreadable and repeat in (READ, KEYED))
    )
    if not may_repeat or (settings.attempts_max is not None and attempts >= settings.attempts_max):
        return None
    wait_s = backoff_s(attempts - 1, settings)
    # An unreachable node says nothing about the others: ask those at once.
    if failure.unreachable and attempts < count:
        wait_s = 0.0
    wait_s = max(wait_s, failure.retry_after_s)
    return wait_s if wait_s + ANSWER_TIME_MIN_S <= left_s else None


def backoff_s(retry: int, settings: Settings) -> float:
    """The wait before retry number `retry`, from 0, at random in the upper half of its range."""
    top = min(settings.backoff_base_s * float(2 ** min(retry, 31)), settings.backoff_max_s)
    return top / 2 * (1 + random.random())


def _attempt_s(repeat: str, attempts: int, count: int, settings: Settings) -> float:
    """The time limit of an attempt.

    A stalled node must not cost much while others can be asked: the first round over all nodes is
    short, and each further one twice as long. A write that cannot be repeated gets all the time.
    """
    if repeat == ONCE or count == 1:
        return settings.attempt_timeout_s
    round_s = settings.stall_timeout_s * float(2 ** min((attempts - 1) // count, 31))
    return min(round_s, settings.attempt_timeout_s)


def _outcome_of(repeat: str, last: Failure, doubt: bool) -> str:
    """The outcome of a call. With `doubt`, the outcome of an earlier attempt is unknown."""
    if repeat == READ:
        return "rejected" if last.outcome == "rejected" else "not_applied"
    code = last.problem["error"] if last.problem else None
    if doubt and code not in _SETTLING.get(repeat, ()):
        return "unknown"
    return last.outcome


def _problem(status: int, body: bytes) -> Any:
    try:
        problem = json.loads(body)
    except (ValueError, RecursionError):
        return None
    sound = (
        isinstance(problem, dict)
        and problem.get("status") == status
        and isinstance(problem.get("error"), str)
        and problem.get("outcome") in CLASSES
        and not problem.get("success")
    )
    return problem if sound else None


def _position(text: Optional[str]) -> Optional[int]:
    if text is None or not (text.isascii() and text.isdigit()) or len(text) > 16:
        return None
    return int(text) if int(text) < _POSITION_LIMIT else None
