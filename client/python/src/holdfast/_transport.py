"""One attempt: one HTTP request to one node, bounded in time and bytes. It follows no redirect."""

from __future__ import annotations

import io
import select
import socket
import ssl
import threading
import time
from http.client import HTTPConnection, HTTPException, HTTPMessage, HTTPResponse
from typing import Any, Dict, List, Mapping, Optional, Tuple
from urllib.parse import urlsplit

# Idle connections are closed after this many seconds, before the server closes them (60).
_IDLE_S = 30.0
_IDLE_CONNECTIONS_MAX = 16


class AttemptFailed(Exception):
    """No complete answer came. `kind` is `connect` (nothing was sent), `broken`, `timeout` or `too_large`."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind


class Deadline:
    """A moment on the monotonic clock, which an open stream moves."""

    def __init__(self, at: float) -> None:
        self.at = at

    def left(self) -> float:
        """Seconds left. Raises TimeoutError when there are none."""
        left = self.at - time.monotonic()
        if left <= 0:
            raise socket.timeout("the time of the attempt is over")
        return left


class _Reader(io.RawIOBase):
    """Reads a socket until a deadline, however slowly the bytes come."""

    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        self._sock = sock
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._sock.settimeout(self._deadline.left())
        return self._sock.recv_into(buffer)


class _Socket:
    """What `http.client` needs of a socket, each wait bounded by one deadline."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.deadline = Deadline(0.0)

    def sendall(self, data: bytes) -> None:
        self.sock.settimeout(self.deadline.left())
        self.sock.sendall(data)

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Reader(self.sock, self.deadline))

    def close(self) -> None:
        """Does nothing: `http.client` closes its side before the body is read, `Connection` the socket."""


class Connection:
    """A connection to one node."""

    def __init__(self, url: str, tls: Optional[ssl.SSLContext], timeout_s: float) -> None:
        parts = urlsplit(url)
        host = parts.hostname or ""
        port = parts.port or (443 if parts.scheme == "https" else 80)
        sock = socket.create_connection((host, port), timeout_s)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if parts.scheme == "https":
                sock = (tls or ssl.create_default_context()).wrap_socket(sock, server_hostname=host)
        except BaseException:
            sock.close()
            raise
        self.idle_since = 0.0
        self._socket = _Socket(sock)
        self._http = HTTPConnection(host, port)
        self._http.sock = self._socket
        self._prefix = parts.path.rstrip("/")

    def is_usable(self, now: float) -> bool:
        """Whether an idle connection may be used again. A readable one was closed by the server."""
        if now - self.idle_since > _IDLE_S:
            return False
        try:
            return not select.select([self._socket.sock], [], [], 0)[0]
        except (OSError, ValueError):
            return False

    def exchange(
        self, method: str, path: str, headers: Mapping[str, str], body: Optional[bytes], deadline: Deadline
    ) -> HTTPResponse:
        """Sends a request and reads the head of the answer. `deadline` also bounds its body."""
        self._socket.deadline = deadline
        self._http.request(method, self._prefix + path, body=body, headers=dict(headers))
        return self._http.getresponse()

    def close(self) -> None:
        self._http.close()
        self._socket.sock.close()


class Transport:
    """Idle connections to all nodes. Safe to share between threads."""

    def __init__(
        self, connect_timeout_s: float, answer_bytes_max: int, tls: Optional[ssl.SSLContext]
    ) -> None:
        self._connect_timeout_s = connect_timeout_s
        self._answer_bytes_max = answer_bytes_max
        self._tls = tls
        self._idle: Dict[str, List[Connection]] = {}
        self._lock = threading.Lock()

    def send(
        self,
        url: str,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: Optional[bytes],
        within_s: float,
    ) -> Tuple[int, HTTPMessage, bytes]:
        """Sends a request and reads the whole answer within `within_s`."""
        deadline = Deadline(time.monotonic() + within_s)
        connection = self._take(url) or self._connect(url, deadline)
        try:
            response = connection.exchange(method, path, headers, body, deadline)
            content = response.read(self._answer_bytes_max + 1)
            if len(content) > self._answer_bytes_max:
                text = f"an answer from {url} is longer than {self._answer_bytes_max} bytes"
                raise AttemptFailed("too_large", text)
            if response.length:
                raise AttemptFailed("broken", f"the answer from {url} was cut short")
        except BaseException as error:
            connection.close()
            raise _failed(error, url, within_s) from error
        if response.will_close:
            connection.close()
        else:
            self._give_back(url, connection)
        return response.status, response.headers, content

    def open(
        self, url: str, path: str, headers: Mapping[str, str], deadline: Deadline
    ) -> Tuple[Connection, HTTPResponse]:
        """Requests a stream and reads the head of the answer. The caller closes the connection."""
        within_s = deadline.at - time.monotonic()
        connection = self._connect(url, deadline)
        try:
            return connection, connection.exchange("GET", path, headers, None, deadline)
        except BaseException as error:
            connection.close()
            raise _failed(error, url, within_s) from error

    def close(self) -> None:
        """Closes all idle connections."""
        with self._lock:
            idle, self._idle = self._idle, {}
        for connections in idle.values():
            for connection in connections:
                connection.close()

    def _connect(self, url: str, deadline: Deadline) -> Connection:
        try:
            return Connection(url, self._tls, min(self._connect_timeout_s, deadline.left()))
        except OSError as error:
            raise AttemptFailed("connect", f"cannot connect to {url}: {error}") from error

    def _take(self, url: str) -> Optional[Connection]:
        now = time.monotonic()
        while True:
            with self._lock:
                connections = self._idle.get(url)
                if not connections:
                    return None
                connection = connections.pop()
            if connection.is_usable(now):
                return connection
            connection.close()

    def _give_back(self, url: str, connection: Connection) -> None:
        connection.idle_since = time.monotonic()
        with self._lock:
            connections = self._idle.setdefault(url, [])
            if len(connections) < _IDLE_CONNECTIONS_MAX:
                connections.append(connection)
                return
        connection.close()


def _failed(error: BaseException, url: str, within_s: float) -> BaseException:
    if isinstance(error, socket.timeout):
        return AttemptFailed("timeout", f"no answer from {url} within {within_s * 1000:.0f} ms")
    if isinstance(error, (OSError, HTTPException)):
        return AttemptFailed("broken", f"the connection to {url} broke: {error or type(error).__name__}")
    return error
