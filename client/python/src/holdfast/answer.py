"""Successful answers, with what their headers say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, Optional, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Answer(Generic[T]):
    """The data of a successful answer, and how the call went."""

    data: T
    status: int
    """The HTTP status."""
    replayed: bool
    """Whether an earlier request under the key had the effect; this answer repeats its result."""
    position: Optional[int]
    """The position that the answer reflects: see `Client.session`."""
    trace_id: str
    """The id under which the servers log the request."""
    idempotency_key: Optional[str]
    """The key of the call: the caller's, or one that the client made."""
    attempts: int
    """Attempts made, at least 1."""
    url: str
    """The base URL that answered."""


@dataclass(frozen=True)
class Page(Answer[T]):
    """One page of a list."""

    meta: Any
    """Where the page stands in the list: see `wire.PageMeta` and `wire.CursorMeta`."""
