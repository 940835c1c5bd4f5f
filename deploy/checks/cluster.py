"""Runs three real nodes and a Prometheus on this machine, for the checks beside this file."""

import hashlib
import hmac
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = ROOT / os.environ.get("HOLDFAST_BINARY", "target/debug/holdfast")
SECRET = "whsec-of-the-deploy-check-0123456789"


def free_port():
    """A port that was free a moment ago."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def get(url, timeout=5):
    """The body of an answer as text. HTTP errors are raised."""
    with urllib.request.urlopen(url, timeout=timeout) as answer:
        return answer.read().decode()


def eventually(what, probe, seconds=30):
    """Calls `probe` until it returns something true, and returns that."""
    end = time.monotonic() + seconds
    while True:
        try:
            found = probe()
        except (OSError, urllib.error.URLError, ValueError) as error:
            found, last = None, error
        else:
            last = found
        if found:
            return found
        if time.monotonic() > end:
            raise SystemExit(f"not within {seconds} s: {what}; last: {last!r}")
        time.sleep(0.1)


class Cluster:
    """Three nodes with short-lived data. Use it in `with`: it ends every process it started."""

    def __init__(self):
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="holdfast-deploy-"))
        ids = (1, 2, 3)
        self.http = {n: f"127.0.0.1:{free_port()}" for n in ids}
        self.raft = {n: f"127.0.0.1:{free_port()}" for n in ids}
        self.processes = {}
        self.prometheus = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes.values():
            process.kill()
            process.wait()
        shutil.rmtree(self.home, ignore_errors=True)

    def start(self, node, *flags, environment=None):
        """Starts a node; its log is NODE.log in the directory of the run."""
        peers = [f"--peer={n}={self.raft[n]},{self.http[n]}" for n in self.raft]
        command = [
            str(BINARY), "serve", "--id", str(node), "--data", str(self.data(node)),
            "--http", self.http[node], "--raft", self.raft[node], *peers,
            "--payment-gateway", "simulated", "--payment-delay-ms", "1-5", *flags,
        ]  # fmt: skip
        environment = {**os.environ, "HOLDFAST_WEBHOOK_SECRET": SECRET, **(environment or {})}
        with open(self.home / f"{node}.log", "ab") as log:
            self.processes[node] = subprocess.Popen(
                command, stdout=log, stderr=log, env=environment
            )

    def data(self, node):
        """The data directory of a node."""
        return self.home / f"node-{node}"

    def stop(self, node, how=signal.SIGTERM):
        """Ends a node and waits for that."""
        process = self.processes.pop(node)
        process.send_signal(how)
        process.wait(timeout=60)

    def wait_ready(self, *nodes):
        """Waits until these nodes take requests."""
        for node in nodes:
            eventually(f"node {node} is ready", lambda: get(f"http://{self.http[node]}/readyz"))

    def post(self, path, body, node=1, signed=False):
        """Posts JSON to a node. Returns the status and the decoded answer."""
        data = json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        if signed:
            moment = str(int(time.time()))
            mac = hmac.new(SECRET.encode(), moment.encode() + b"." + data, hashlib.sha256)
            headers["Holdfast-Signature"] = f"t={moment},v1={mac.hexdigest()}"
        url = f"http://{self.http[node]}/api/v1/{path}"
        request = urllib.request.Request(url, data=data, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=15) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def value(self, metric, node):
        """The value of a metric without labels, as a node shows it."""
        text = get(f"http://{self.http[node]}/metrics")
        return float(re.search(rf"^{metric} (\S+)$", text, re.MULTILINE)[1])

    def scrape(self, config, rules):
        """Starts a Prometheus with these texts as its configuration and rules."""
        home = self.home / "prometheus"
        home.mkdir()
        (home / "prometheus.yml").write_text(config)
        (home / "rules.yml").write_text(rules)
        self.prometheus = f"127.0.0.1:{free_port()}"
        with open(self.home / "prometheus.log", "wb") as log:
            self.processes["prometheus"] = subprocess.Popen(
                ["prometheus", f"--config.file={home}/prometheus.yml",
                 f"--storage.tsdb.path={home}/data", f"--web.listen-address={self.prometheus}"],
                stdout=log, stderr=log,
            )  # fmt: skip
        eventually("Prometheus answers", lambda: get(f"http://{self.prometheus}/-/ready"))

    def query(self, expression):
        """What Prometheus answers to an expression now."""
        url = f"http://{self.prometheus}/api/v1/query"
        body = urllib.parse.urlencode({"query": expression}).encode()
        try:
            with urllib.request.urlopen(url, data=body, timeout=10) as answer:
                return json.load(answer)["data"]["result"]
        except urllib.error.HTTPError as error:
            raise SystemExit(f"{expression}: {error.read().decode()}") from error

    def firing(self):
        """The names of the alerts that fire."""
        alerts = json.loads(get(f"http://{self.prometheus}/api/v1/alerts"))["data"]["alerts"]
        return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}
