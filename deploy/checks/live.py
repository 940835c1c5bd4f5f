"""Compares docs/metrics.md, the dashboard and the alert rules with real nodes and a real Prometheus.

    deploy/checks/live.py            fails on any difference
    deploy/checks/live.py --write    writes the table of docs/metrics.md anew

Every metric that a rule or the dashboard names must be on /metrics, every query of the dashboard must
have a result, and alerts must fire when their fault is caused on the nodes. Needs prometheus and cc.
"""

import json
import re
import subprocess
import sys
import threading
import time
import urllib.request

import yaml
from cluster import BINARY, ROOT, Cluster, eventually, get

PAGE = ROOT / "docs/metrics.md"
RULES = ROOT / "deploy/prometheus/rules.yml"
BEGIN, END = "<!-- begin: made by deploy/checks/live.py --write -->", "<!-- end -->"

# These exist only after something happened that the check does not cause. The help text must stand
# in the source.
LATER = {
    "event_subscribers_cut_off_total": (
        "counter",
        "transport",
        "Subscribers that were closed because they read too slowly",
    ),
    "peer_messages_refused_total": (
        "counter",
        "kind, why",
        "Peer messages refused, by kind and reason",
    ),
}

# Alerts that the check does not cause on real nodes, with the reason.
NOT_CAUSED = {
    "HoldfastClockBehind": "needs a clock that jumps by more than a minute",
    "HoldfastDiskLow": "needs a small file system",
    "HoldfastLogNearlyFull": "needs billions of entries",
    "HoldfastLogNotTruncated": "needs a gigabyte of log",
    "HoldfastLogSyncSlow": "needs minutes of a slow disk",
    "HoldfastMemoryFull": "needs nodes whose memory is used up",
    "HoldfastNodeLags": "needs thousands of entries that a node does not apply",
    "HoldfastOrdersPileUp": "needs 800,000 open orders",
    "HoldfastOrdersSlow": "needs minutes of slow orders",
    "HoldfastPaymentsStopped": "needs a payment service that refuses the node for minutes",
}


def unit(name, kind):
    """The unit of a metric, by its name."""
    bare = name.removesuffix("_total")
    for suffix, unit in (("_seconds", "seconds"), ("_bytes", "bytes"), ("_ms", "milliseconds")):
        if bare.endswith(suffix):
            return unit
    if bare.endswith("_index"):
        return "log index"
    return "" if kind == "gauge" and ("_is_" in bare or bare == "writes_refused") else "number"


def metrics(text):
    """Every metric of an exposition: name, type, labels and help, by the name that queries use."""
    types = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
    helps = dict(re.findall(r"^# HELP (\S+) (.*)$", text, re.MULTILINE))
    found = {}
    for name, kind in types.items():
        samples = re.findall(rf"^{name}(?:_total|_bucket)?\{{(.*?)\}} ", text, re.MULTILINE)
        labels = {label for sample in samples for label in re.findall(r'(\w+)="', sample)}
        shown = f"{name}_total" if kind == "counter" else name
        # prometheus-client ends each help text with a full stop.
        help_text = helps[name].rstrip(".")
        found[shown] = (kind, ", ".join(sorted(labels - {"le"})), help_text)
    for name, row in LATER.items():
        source = (ROOT / "http-api/src/metrics.rs").read_text()
        if row[2] not in source:
            raise SystemExit(f"http-api/src/metrics.rs no longer has the help text of {name}")
        found[name] = row
    return found


def table(found):
    """The table of docs/metrics.md."""
    rows = ["| name | type | unit | labels | meaning |", "| --- | --- | --- | --- | --- |"]
    for name, (kind, labels, text) in sorted(found.items()):
        rows.append(f"| `{name}` | {kind} | {unit(name, kind)} | {labels} | {text} |")
    return "\n".join(rows)


def compare_page(found, write):
    """Fails if docs/metrics.md is not about these metrics, or writes it."""
    page = PAGE.read_text()
    before, rest = page.split(BEGIN)
    made = f"{before}{BEGIN}\n{table(found)}\n{END}{rest.split(END)[1]}"
    if write:
        PAGE.write_text(made)
    elif made != page:
        (ROOT / "target").mkdir(exist_ok=True)
        (ROOT / "target/metrics.md").write_text(made)
        subprocess.run(["diff", "-u", PAGE, ROOT / "target/metrics.md"], check=False)
        raise SystemExit("docs/metrics.md differs from /metrics: deploy/checks/live.py --write")


def expressions():
    """The expressions of rules and dashboard, by what they belong to."""
    rules = yaml.safe_load(RULES.read_text())
    for group in rules["groups"]:
        for rule in group["rules"]:
            yield f"alert {rule['alert']}", rule["expr"]
    dashboard = json.loads((ROOT / "deploy/grafana/holdfast.json").read_text())
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            yield f"panel {panel['title']}", target["expr"]


def compare_names(found):
    """Fails if an expression names a metric that is not there, or does not select the job."""
    names = set(found) | {"up"}
    for name, (kind, _, _) in found.items():
        if kind == "histogram":
            names |= {f"{name}_bucket", f"{name}_sum", f"{name}_count"}
    for owner, expression in expressions():
        selected = re.findall(r"([a-z_:]+)\{([^}]*)\}", expression)
        assert selected, f"{owner}: no metric is selected"
        for name, labels in selected:
            assert name in names, f"{owner}: /metrics has no {name}"
            assert 'job="holdfast"' in labels, f"{owner}: {name} of any job"


def compare_runbook():
    """Fails if an alert has no section in the runbook."""
    titles = re.findall(r"^## (.*)$", (ROOT / "docs/RUNBOOK.md").read_text(), re.MULTILINE)
    anchors = {re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-") for title in titles}
    alerts = []
    for group in yaml.safe_load(RULES.read_text())["groups"]:
        for rule in group["rules"]:
            alerts.append(rule["alert"])
            page, anchor = rule["annotations"]["runbook"].split("#")
            assert page == "docs/RUNBOOK.md" and anchor in anchors, f"{rule['alert']}: #{anchor}"
    return alerts


def traffic(cluster):
    """Something of everything that a shop does, so that every metric has a value."""
    assert cluster.post("products", {"name": "Lamp", "price": "9.99", "stock": 10_000})[0] == 201
    assert cluster.post("users", {"name": "Ada", "email": "ada@example.com"})[0] == 201
    assert cluster.post("holds", {"product_id": 1, "qty": 2})[0] == 201
    body = {"user_id": 1, "items": [{"product_id": 1, "quantity": 1}]}
    for number in range(30):
        assert cluster.post("orders", body, node=1 + number % 3)[0] == 201
    status, _ = cluster.post("payments/webhook", {})
    assert status == 401, status


def payments(cluster):
    """A payment for an order that ended otherwise, and one for an order that never was."""
    body = {"items": [{"product_id": 1, "quantity": 1}], "payment_method": "webhook"}
    status, answer = cluster.post("orders", body)
    assert status == 201, answer
    order = answer["data"]["id"]
    for key, order_id, status, expected in (
        ("first", order, "failure", "applied"),
        ("second", order, "success", "conflict"),
        ("third", order + 1_000_000, "success", "unmatched"),
    ):
        report = {"idempotency_key": key, "order_id": order_id, "status": status}
        status, answer = cluster.post("payments/webhook", report, signed=True)
        assert status == 200 and expected in json.dumps(answer), answer


def leader(cluster):
    """The node that leads, as the first node that answers says."""
    for node in cluster.http:
        if node in cluster.processes:
            led = json.loads(get(f"http://{cluster.http[node]}/health"))["leader_id"]
            if led:
                return led
    return None


def await_alert(cluster, caused, *names):
    """Waits until these alerts fire."""
    missing = []

    def fire():
        missing[:] = set(names) - cluster.firing()
        return not missing

    eventually(f"alerts {missing or names} fire", fire, 40)
    caused.update(names)
    print("fired:", ", ".join(names))


def overload(cluster, node):
    """More writes at once than the node's queue takes."""
    body = {"items": [{"product_id": 1, "quantity": 1}]}

    def order():
        for _ in range(20):
            cluster.post("orders", body, node=node)

    threads = [threading.Thread(target=order) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def cause(cluster):
    """Causes faults on real nodes, and waits for their alerts. Returns the alerts."""
    caused = set()
    payments(cluster)
    await_alert(cluster, caused, "HoldfastPaymentConflict", "HoldfastPaymentUnmatched")

    for _ in range(5):
        old = leader(cluster)
        new = old % 3 + 1
        subprocess.run(
            [BINARY, "transfer-leader", "--to", str(new),
             "--url", f"http://{cluster.http[old]}"],
            check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        eventually("another node leads", lambda: leader(cluster) == new)
    await_alert(cluster, caused, "HoldfastLeaderChanges")

    # Node 3 has a gateway that often does not answer, a queue for one write, and a disk that hangs
    # on demand. It leads, so that it makes the payments.
    shim, trigger = cluster.home / "disk.so", cluster.home / "hang"
    source = ROOT / "tests/shims/disk.c"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", shim, source], check=True)
    cluster.stop(3)
    await_alert(cluster, caused, "HoldfastNodeDown", "HoldfastCannotLoseANode")
    cluster.start(
        3, "--payment-error-rate", "0.5", "--payment-backoff-ms", "50", "--queue-max", "1",
        environment={"LD_PRELOAD": str(shim), "HANG_SYNC_WHEN": str(trigger)},
    )  # fmt: skip
    cluster.wait_ready(3)
    if leader(cluster) != 3:
        subprocess.run(
            [BINARY, "transfer-leader", "--to", "3", "--url",
             f"http://{cluster.http[leader(cluster)]}"],
            check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
    eventually("node 3 leads", lambda: leader(cluster) == 3)
    # Prometheus sees an increase only of a series that it has seen before.
    overload(cluster, 3)
    time.sleep(2)
    overload(cluster, 3)
    await_alert(cluster, caused, "HoldfastOverloaded", "HoldfastErrors")
    overload(cluster, 1)
    await_alert(cluster, caused, "HoldfastPaymentsUnanswered")

    trigger.touch()
    await_alert(cluster, caused, "HoldfastDiskStalled", "HoldfastWritesRefused")
    trigger.unlink()
    eventually("node 3 takes writes again", lambda: not cluster.value("writes_refused", 3))

    cluster.stop(3)
    (cluster.data(3) / "boot").write_bytes(b"damaged")
    cluster.start(3)
    await_alert(cluster, caused, "HoldfastNodeRebuilt")

    for node in (2, 3):
        cluster.stop(node)
    await_alert(cluster, caused, "HoldfastNoLeader")
    return caused


def main():
    write = "--write" in sys.argv[1:]
    alerts = compare_runbook()
    with Cluster() as cluster:
        for node in cluster.http:
            cluster.start(node)
        cluster.wait_ready(*cluster.http)
        # Some metrics have values on the leader alone.
        cluster.post("cluster/transfer-leader", {"to": 1})
        eventually("node 1 leads", lambda: cluster.value("raft_is_leader", 1) == 1)
        targets = json.dumps(list(cluster.http.values()))
        config = (ROOT / "deploy/prometheus/prometheus.yml").read_text()
        config, count = re.subn(r"targets: .*", f"targets: {targets}", config)
        assert count == 1
        config = re.sub(r"_interval: \S+", "_interval: 1s", config)
        # Alerts fire at once: promtool has tested how long they wait.
        rules = re.sub(r"^ *for: .*\n", "", RULES.read_text(), flags=re.MULTILINE)
        cluster.scrape(config, rules.replace(":15s]", ":1s]"))

        traffic(cluster)
        with urllib.request.urlopen(f"http://{cluster.http[1]}/api/v1/events?after=0.0") as stream:
            stream.readline()
            found = metrics(get(f"http://{cluster.http[1]}/metrics"))
        compare_page(found, write)
        compare_names(found)
        print(f"{len(found)} metrics are as docs/metrics.md says")
        for owner, expression in expressions():
            if owner.startswith("panel "):
                eventually(f"{owner} shows something", lambda e=expression: cluster.query(e), 20)
        print("every query of the dashboard has a result")
        if not write:
            caused = cause(cluster)
            wrong = set(alerts) ^ (caused | set(NOT_CAUSED))
            assert not wrong, f"caused or listed, and not both: {wrong}"


if __name__ == "__main__":
    main()
