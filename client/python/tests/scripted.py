"""Nodes that follow the script of a conformance case."""

from __future__ import annotations

import json
import pathlib
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Dict, List, Optional

CLIENT = pathlib.Path(__file__).resolve().parents[2]
GOLDENS = CLIENT / "tests/goldens"


class Script:
    """The exchanges of a case, and the requests that came."""

    def __init__(self, exchanges: List[Any], nodes: int, closed: List[int]) -> None:
        self.exchanges = exchanges
        self.requests: List[Dict[str, Any]] = []
        self.over = threading.Event()
        self._lock = threading.Lock()
        self._servers: List[ThreadingHTTPServer] = []
        self._closed: List[socket.socket] = []
        self.urls = [self._closed_node() if node in closed else self._node(node) for node in range(nodes)]

    def next(self, request: Dict[str, Any]) -> Optional[Any]:
        """The answer to a request; None when there should be none any more."""
        with self._lock:
            self.requests.append(request)
            at = len(self.requests) - 1
        return self.exchanges[at]["answer"] if at < len(self.exchanges) else None

    def end(self) -> None:
        """Stops all nodes."""
        self.over.set()
        for server in self._servers:
            server.shutdown()
            server.server_close()
        for closed in self._closed:
            closed.close()

    def _closed_node(self) -> str:
        # Bound but not listening: the port refuses connections and nobody else gets it.
        bound = socket.socket()
        bound.bind(("127.0.0.1", 0))
        self._closed.append(bound)
        return f"http://127.0.0.1:{bound.getsockname()[1]}"

    def _node(self, node: int) -> str:
        script = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, *_: Any) -> None:
                pass

            def answer(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                text = self.rfile.read(length)
                body = json.loads(text) if text else None
                headers = {name.lower(): value for name, value in self.headers.items()}
                key = headers.get("idempotency-key") or (body or {}).get("idempotency_key")
                answer = script.next(
                    {"node": node, "method": self.command, "path": self.path, "key": key, "headers": headers, "body": body}
                )
                self.close_connection = not self.send(answer or {"status": 418, "text": "unexpected"})

            def send(self, answer: Dict[str, Any]) -> bool:
                """Sends the answer. Returns whether the connection can be used again."""
                fault = answer.get("fault")
                if fault == "stall":
                    script.over.wait(30)
                if fault in ("close", "stall"):
                    return False
                status, headers, content = rendered(answer)
                if fault == "cut":
                    status, content = 200, b'{"success": true, "data": {"id": 6}}'
                    headers["Content-Length"] = "500"
                elif "stream" in answer:
                    headers.update({"Content-Type": "text/event-stream", "Transfer-Encoding": "chunked"})
                    content = b"%x\r\n%s\r\n" % (len(content), content)
                elif status != 204:
                    headers["Content-Length"] = str(len(content))
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)
                self.wfile.flush()
                if answer.get("then") == "stay":
                    script.over.wait(30)
                return not ("stream" in answer or fault)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        self._servers.append(server)
        return f"http://127.0.0.1:{server.server_port}"


def rendered(answer: Dict[str, Any]) -> Any:
    """Status, headers and content of an answer."""
    headers = {"Content-Type": "application/json", **answer.get("headers", {})}
    if "problem" in answer:
        status, upper, outcome = codes()[answer["problem"]]
        problem = {
            "type": "/problems/" + answer["problem"].replace("_", "-"), "title": "", "status": status,
            "detail": "words", "success": False, "message": "words", "error": answer["problem"],
            "error_code": upper, "outcome": outcome, "retryable": outcome != "rejected", "errors": None,
            "trace_id": "t", **answer.get("problem_fields", {}),
        }
        headers["Content-Type"] = "application/problem+json"
        return status, headers, json.dumps(problem).encode()
    status = answer.get("status", 200)
    if "golden" in answer:
        content = (GOLDENS / f"{answer['golden']}.json").read_bytes() + b" " * answer.get("padding", 0)
    elif "body" in answer:
        content = json.dumps(answer["body"]).encode()
    else:
        content = answer.get("stream", answer.get("text", "")).encode()
    return status, headers, content


def codes() -> Dict[str, Any]:
    """Every error code with its status, its name in capitals and its outcome."""
    table = {}
    for line in (GOLDENS / "error_codes.txt").read_text().splitlines():
        status, code, upper, outcome = line.split()
        table[code] = (int(status), upper, outcome)
    return table


class Comparison:
    """Compares what a case expects with what came. A text such as `$key` is the same everywhere."""

    def __init__(self) -> None:
        self.bound: Dict[str, Any] = {}

    def differences(self, expected: Any, actual: Any, where: str) -> List[str]:
        """Where `actual` is not as expected. It may have more fields."""
        if isinstance(expected, str) and expected.startswith("$"):
            if isinstance(actual, str) and actual and self.bound.setdefault(expected, actual) == actual:
                return []
            return [f"{where}: {actual!r} is not {expected}, which is {self.bound.get(expected)!r}"]
        if isinstance(expected, dict) and isinstance(actual, dict):
            return [
                text
                for name, value in expected.items()
                for text in self.differences(value, actual.get(name), f"{where}.{name}")
            ]
        if isinstance(expected, list) and isinstance(actual, list) and len(expected) == len(actual):
            return [
                text
                for at, value in enumerate(expected)
                for text in self.differences(value, actual[at], f"{where}[{at}]")
            ]
        return [] if expected == actual else [f"{where}: {actual!r} is not {expected!r}"]


def elapsed_ms(begun: float) -> float:
    """Milliseconds since then."""
    return (time.monotonic() - begun) * 1000
