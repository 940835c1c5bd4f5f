"""Subscribing to events: a stream from one node, resumed at another when it breaks."""

from __future__ import annotations

import json
import time
from http.client import HTTPException
from typing import Any, Iterator, List, Optional, Tuple, cast

from . import _call
from ._call import Call, Scope
from ._endpoints import Endpoints
from ._transport import AttemptFailed, Connection, Deadline, Transport
from .wire import Event

# The longest line and the longest block of a stream, in bytes.
_BLOCK_BYTES_MAX = 256 * 1024

_STREAM_ERRORS = (OSError, HTTPException, ValueError)


class EventStream(Iterator[Event]):
    """Events as they happen, from whichever node answers: `for event in client.events(): …`.

    When the stream breaks or falls silent, it resumes at another node after the last returned event:
    no event is missing and none is duplicated. Iterating raises `EventsGone` when the next events are
    no longer retained, and `NotApplied` when no node answers within the deadline of a call; iterate
    again to go on. Not safe to share between threads.
    """

    def __init__(
        self, scope: Scope, endpoints: Endpoints, transport: Transport, path: str, after: Optional[str]
    ) -> None:
        self.last_id = after
        """The id to resume after: that of the last returned event, else of the stream's beginning.

        Store it, and give it as `after` to a later stream, even in another process.
        """
        self._scope = scope
        self._endpoints = endpoints
        self._transport = transport
        self._path = path
        self._index = endpoints.first(time.monotonic()) if scope.node is None else scope.node
        self._open: Optional[Tuple[Connection, Any, Deadline]] = None
        self._first: Optional[Event] = None
        self._breaks = 0

    def __enter__(self) -> EventStream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __next__(self) -> Event:
        while True:
            self.open()
            event, self._first = self._first or self._block(), None
            if event is not None:
                return event

    def open(self) -> None:
        """Opens the stream, unless it is open: it returns all events from then on."""
        while self._open is None:
            self._open = self._connect()
            # The block with the id at which the stream begins comes first, though a proxy may add
            # comments before it.
            while self._open is not None and self.last_id is None:
                self._first = self._block()

    def close(self) -> None:
        """Ends the stream. Iterating again resumes it."""
        if self._open is not None:
            self._open[0].close()
            self._open = None

    def _block(self) -> Optional[Event]:
        """The event of the next block, if it has one. Ends a broken stream."""
        assert self._open is not None
        _, response, deadline = self._open
        try:
            last_id, data = self._read(response, deadline)
            event = json.loads(data) if data else None
        except _STREAM_ERRORS:
            self._broken()
            return None
        self._breaks = 0
        if last_id is not None:
            self.last_id = last_id
        return cast(Optional[Event], event)

    def _read(self, response: Any, deadline: Deadline) -> Tuple[Optional[str], str]:
        last_id: Optional[str] = None
        data: List[str] = []
        size = 0
        while True:
            deadline.at = time.monotonic() + self._scope.settings.silence_timeout_s
            line = response.readline(_BLOCK_BYTES_MAX)
            size += len(line)
            if not line.endswith(b"\n") or size > _BLOCK_BYTES_MAX:
                raise ValueError("the stream ended")
            text = line.decode().rstrip("\r\n")
            if not text:
                return last_id, "\n".join(data)
            name, _, value = text.partition(":")
            value = value[1:] if value.startswith(" ") else value
            if name == "id":
                last_id = value
            elif name == "data":
                data.append(value)

    def _connect(self) -> Tuple[Connection, Any, Deadline]:
        settings = self._scope.settings
        begun = time.monotonic()
        count = 1 if self._scope.node is not None else len(self._endpoints.urls)
        call = Call("GET", self._path)
        headers, trace_id = _call.request_headers(call, self._scope, "text/event-stream")
        if self.last_id is not None:
            headers["Last-Event-ID"] = self.last_id
        attempts = 0
        while True:
            attempts += 1
            url = self._endpoints.urls[self._index]
            limit_s = settings.stall_timeout_s if count > 1 else settings.attempt_timeout_s
            deadline = Deadline(time.monotonic() + limit_s)
            try:
                connection, response = self._transport.open(url, self._path, headers, deadline)
                kind = response.headers.get("Content-Type") or ""
                if response.status == 200 and kind.startswith("text/event-stream"):
                    self._endpoints.works(self._index)
                    return connection, response, deadline
                try:
                    body = response.read(_BLOCK_BYTES_MAX)
                finally:
                    connection.close()
                failure = _call.refusal(response.status, response.headers, body, url)
            except AttemptFailed as error:
                failure = _call.on_the_way(error)
            except _STREAM_ERRORS as error:
                failure = _call.on_the_way(AttemptFailed("broken", f"the connection to {url} broke: {error}"))
            now = time.monotonic()
            _call.note(self._endpoints, self._index, failure, now)
            left_s = begun + settings.deadline_s - now
            wait_s = _call.wait_after(_call.READ, failure, attempts, count, left_s, settings)
            if wait_s is None:
                outcome = "rejected" if failure.outcome == "rejected" else "not_applied"
                raise _call.error_of(outcome, failure, None, trace_id, attempts, url)
            time.sleep(wait_s)
            self._next()

    def _broken(self) -> None:
        self.close()
        self._endpoints.failed(self._index, False, time.monotonic())
        if self._breaks > 0:
            time.sleep(_call.backoff_s(self._breaks - 1, self._scope.settings))
        self._breaks += 1
        self._next()

    def _next(self) -> None:
        if self._scope.node is None:
            self._index = self._endpoints.next_after(self._index, time.monotonic())
