"""Puts nginx and HAProxy, as deploy/proxies configures them, in front of three real nodes.

    python deploy/checks/proxies.py [nginx] [haproxy]

Each proxy must pass on streams as they come, weak tags, WebSockets, batches and backups, must let
more clients in than one address may have, and must hide the death of a node from the Rust client.
"""

import contextlib
import getpass
import json
import os
import pathlib
import re
import resource
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

from cluster import BINARY, ROOT, Cluster, eventually, free_port, get

CONFIGURATIONS = ROOT / "deploy" / "proxies"
SUBSCRIBERS = 1_001
# A node takes a third of the subscribers: more than this, if it thinks that all are one client.
PER_ADDRESS = 300
ORDERS = 60


def run(*words):
    """Runs the program, which uses the Rust client, and returns what it prints."""
    done = subprocess.run([BINARY, *words], capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise SystemExit(f"holdfast {' '.join(words)}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def configured(text, listen, nodes):
    """A configuration with the addresses of this run."""
    changed = text.replace("127.0.0.1:8080", listen)
    for number, address in enumerate(nodes, start=1):
        assert f"127.0.0.1:808{number}" in changed
        changed = changed.replace(f"127.0.0.1:808{number}", address)
    return changed


class Proxy:
    """One proxy in the foreground. Use it in `with`."""

    def __init__(self, name, cluster, change=lambda text: text):
        self.address = f"127.0.0.1:{free_port()}"
        self.url = f"http://{self.address}"
        home = cluster.home / f"{name}-{free_port()}"
        home.mkdir()
        file = {"nginx": "nginx.conf", "haproxy": "haproxy.cfg"}[name]
        text = (CONFIGURATIONS / file).read_text()
        text = change(configured(text, self.address, cluster.http.values()))
        path = home / file
        path.write_text(text)
        if name == "nginx":
            # Folders that only this user may enter, and the process in the foreground.
            parts = "client_body proxy fastcgi uwsgi scgi".split()
            paths = "".join(f"{part}_temp_path {home}/{part};" for part in parts)
            user = f"user {getpass.getuser()};" if os.getuid() == 0 else ""
            begin = f"{user} pid {home}/pid; daemon off; error_log stderr;\nhttp {{ {paths}"
            path.write_text(text.replace("http {", begin, 1))
            self.command = ["nginx", "-p", str(home), "-c", str(path), "-e", "stderr"]
            test = [*self.command, "-t"]
        else:
            self.command = ["haproxy", "-db", "-f", str(path)]
            test = [*self.command, "-c"]
        checked = subprocess.run(test, capture_output=True, text=True)
        if checked.returncode or "warn" in checked.stderr.lower().replace("warnings", ""):
            raise SystemExit(f"{file}: {checked.stdout}{checked.stderr}")
        self.log = home / "log"

    def __enter__(self):
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log)
        eventually("the proxy passes requests on", lambda: get(f"{self.url}/readyz"))
        return self

    def __exit__(self, *_):
        # nginx ends its workers itself.
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def send(self, method, path, body=None, headers=None):
        """One request. Returns the status, the headers and the body."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", **(headers or {})}
        request = urllib.request.Request(self.url + path, data=data, headers=headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.headers, error.read()


def subscribe(address, source="127.0.0.1"):
    """Opens a stream of events from an address of this machine, without waiting for it."""
    stream = socket.socket()
    stream.bind((source, 0))
    host, port = address.split(":")
    stream.connect((host, int(port)))
    stream.sendall(f"GET /api/v1/events HTTP/1.1\r\nHost: {address}\r\n\r\n".encode())
    return stream


def until(stream, pattern, seconds):
    """Reads from a socket until the pattern is there. Returns how long that took."""
    begun, text = time.monotonic(), b""
    stream.settimeout(seconds)
    while not re.search(pattern, text, re.DOTALL):
        try:
            more = stream.recv(65536)
        except TimeoutError:
            more = b""
        if not more:
            raise SystemExit(f"no {pattern!r} within {seconds} s, but {text!r}")
        text += more
    return time.monotonic() - begun


def check_streams(proxy, product):
    """The first byte comes at once, and an event as soon as it happens."""
    with subscribe(proxy.address) as stream:
        first = until(stream, rb"\r\n\r\n.*retry:", 2)
        event = 2.0
        for _ in range(3):
            proxy.send("POST", "/api/v1/orders", order(product))
            event = min(event, until(stream, rb"event: order\.placed", 2))
    # HAProxy would hold each event back for 200 ms.
    assert event < 0.19, event
    upgrade = (
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    )
    with socket.create_connection(proxy.address.split(":"), timeout=5) as stream:
        stream.sendall(f"GET /api/v1/ws HTTP/1.1\r\nHost: {proxy.address}\r\n{upgrade}\r\n".encode())
        until(stream, rb"^HTTP/1.1 101 ", 2)
    return first, event


def order(product):
    return {"items": [{"product_id": product, "quantity": 1}], "payment_method": "none"}


def served(address, count):
    """Opens this many streams of events from one client, and says how many are served."""
    streams = [subscribe(address, "127.0.1.1") for _ in range(count)]
    with contextlib.ExitStack() as closing, selectors.DefaultSelector() as selector:
        for stream in streams:
            closing.enter_context(stream)
            selector.register(stream, selectors.EVENT_READ)
        answers, end = [], time.monotonic() + 30
        while len(answers) < count and time.monotonic() < end:
            for key, _ in selector.select(1):
                answers.append(key.fileobj.recv(4096)[:12])
                selector.unregister(key.fileobj)
    good, refused = answers.count(b"HTTP/1.1 200"), answers.count(b"HTTP/1.1 503")
    assert good + refused == count, (good, refused, len(answers))
    return good


def check_subscribers(proxy, cluster):
    """The connections of the proxy do not count as those of one client."""
    assert served(proxy.address, SUBSCRIBERS) == SUBSCRIBERS
    # The limit holds for those who come without it.
    assert served(cluster.http[1], PER_ADDRESS + 20) <= PER_ADDRESS


def check_tags(proxy, product):
    """A tag that was made weak on the way, by a node or by the proxy, still names the version."""
    status, headers, _ = proxy.send("GET", f"/api/v1/products/{product}", headers={"Accept-Encoding": "gzip"})
    tag = headers["ETag"]
    assert status == 200 and tag, (status, headers)
    weak = tag if tag.startswith("W/") else f"W/{tag}"
    path, body = f"/api/v1/products/{product}", {"low_stock_threshold": int(time.time()) % 1000 + 1}
    assert proxy.send("PATCH", path, body, {"If-Match": weak})[0] == 200
    assert proxy.send("PATCH", path, {"low_stock_threshold": 5}, {"If-Match": weak})[0] == 412
    _, headers, _ = proxy.send("GET", "/openapi.json", headers={"Accept-Encoding": "gzip"})
    assert headers["Content-Encoding"] == "gzip", headers
    return tag


def check_large_bodies(proxy, product, home):
    """A batch of more than a megabyte goes in, a backup comes out."""
    single = {**order(product), "metadata": {"note": "x" * 3000}}
    status, _, body = proxy.send("POST", "/api/v1/orders/batch", {"orders": [single] * 400})
    assert status == 200 and {one["status"] for one in json.loads(body)["data"]} == {201}, status
    run("backup", str(home / "through-proxy.backup"), "--url", proxy.url)
    run("verify", "--backup", str(home / "through-proxy.backup"))
    (home / "through-proxy.backup").unlink()


def check_death(proxy, cluster, product):
    """While a node dies, no order of the client is lost or placed twice."""
    mark = f"key-{free_port()}"
    victim = 3
    killer = threading.Timer(0.2, lambda: cluster.stop(victim, signal.SIGKILL))
    killer.start()
    for number in range(ORDERS):
        run("orders", "place", "--item", f"{product}", "--payment-method", "none",
            "--key", f"{mark}-{number}", "--url", proxy.url, "--json")  # fmt: skip
    killer.join()
    orders = set()
    for number in range(ORDERS):
        state = json.loads(run("orders", "key", f"{mark}-{number}", "--url", proxy.url, "--json"))
        orders.add(state["order"]["id"])
    assert len(orders) == ORDERS, orders
    cluster.start(victim, *FLAGS)
    cluster.wait_ready(victim)


def compressing(text):
    """nginx that compresses itself, and so makes strong tags weak."""
    return text.replace(
        "gzip off;", "gzip on; gzip_proxied any; gzip_min_length 1; gzip_types application/json;"
    )


FLAGS = ["--trusted-proxy", "127.0.0.1", "--connections-per-address-max", str(PER_ADDRESS)]


def main():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536), hard))
    chosen = sys.argv[1:] or ["nginx", "haproxy"]
    with Cluster() as cluster:
        for node in (1, 2, 3):
            cluster.start(node, *FLAGS)
        cluster.wait_ready(1, 2, 3)
        row = {"name": "Lamp", "price": "9.99", "stock": 100_000}
        product = cluster.post("products", row)[1]["data"]["id"]
        for name in chosen:
            begun = time.monotonic()
            with Proxy(name, cluster) as proxy:
                first, event = check_streams(proxy, product)
                check_tags(proxy, product)
                check_large_bodies(proxy, product, cluster.home)
                check_subscribers(proxy, cluster)
                check_death(proxy, cluster, product)
            if name == "nginx":
                with Proxy(name, cluster, compressing) as proxy:
                    assert check_tags(proxy, product).startswith("W/")
                    check_streams(proxy, product)
            print(
                f"   {name}: first byte of a stream after {first * 1000:.0f} ms, an event after "
                f"{event * 1000:.0f} ms, {SUBSCRIBERS} subscribers; {ORDERS} orders while a node died "
                f"({time.monotonic() - begun:.0f} s)"
            )


if __name__ == "__main__":
    main()
