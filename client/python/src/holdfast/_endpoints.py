"""Which base URL to ask. Any node takes any request, so the client stays with one that works."""

from __future__ import annotations

import threading
from typing import List, Sequence
from urllib.parse import urlsplit

# How long an unreachable node is skipped while others can be asked, in seconds.
_SKIPPED_S = 1.0


class Endpoints:
    """The base URLs, in the given order. Safe to share between threads."""

    def __init__(self, urls: Sequence[str]) -> None:
        if isinstance(urls, str):
            urls = [urls]
        if not 1 <= len(urls) <= 64:
            raise ValueError(f"a client needs 1 to 64 base URLs, {len(urls)} were given")
        self.urls: List[str] = [_base_url(url) for url in urls]
        self._down_until = [0.0] * len(self.urls)
        self._preferred = 0
        self._lock = threading.Lock()

    def first(self, now: float) -> int:
        """The URL that a new call asks first."""
        with self._lock:
            up = now >= self._down_until[self._preferred]
            return self._preferred if up else self._next(self._preferred, now)

    def next_after(self, index: int, now: float) -> int:
        """The URL to ask after a failure at `index`."""
        with self._lock:
            return self._next(index, now)

    def works(self, index: int) -> None:
        """Records that `index` answered."""
        with self._lock:
            self._down_until[index] = 0.0

    def failed(self, index: int, unreachable: bool, now: float) -> None:
        """Records that `index` failed, and with `unreachable` that it did not answer at all."""
        with self._lock:
            if unreachable:
                self._down_until[index] = now + _SKIPPED_S
            # Another call may have moved on already; then its choice stands.
            if self._preferred == index:
                self._preferred = self._next(index, now)

    def _next(self, index: int, now: float) -> int:
        count = len(self.urls)
        for step in range(1, count + 1):
            if now >= self._down_until[(index + step) % count]:
                return (index + step) % count
        return (index + 1) % count


def _base_url(url: str) -> str:
    parts = urlsplit(url)
    wrong = (
        parts.scheme not in ("http", "https")
        or not parts.hostname
        or "@" in parts.netloc
        or "?" in url
        or "#" in url
        or any(character <= " " for character in url)
    )
    if wrong:
        raise ValueError(f"the base URL {url!r} is not of the form http(s)://host[:port][/path]")
    return url.rstrip("/")
