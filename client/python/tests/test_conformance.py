"""Runs the cases of `client/conformance`, which every client must pass."""

from __future__ import annotations

import itertools
import json
import time
import unittest
from typing import Any, Dict, List

import holdfast
from holdfast import Client, HoldfastError

from .scripted import CLIENT, Comparison, Script, elapsed_ms

ERROR_FIELDS = (
    "outcome", "code", "status", "detail", "errors", "trace_id", "attempts", "idempotency_key",
)


class Conformance(unittest.TestCase):
    """One test per file of cases, one subtest per case."""

    maxDiff = None

    def test_writes(self) -> None:
        self.run_file("writes")

    def test_reads(self) -> None:
        self.run_file("reads")

    def test_retries(self) -> None:
        self.run_file("retries")

    def test_events(self) -> None:
        self.run_file("events")

    def run_file(self, name: str) -> None:
        cases = json.loads((CLIENT / f"conformance/{name}.json").read_text())
        self.assertGreater(len(cases), 0)
        for case in cases:
            with self.subTest(case["name"]):
                self.assertEqual([], run(case))

    def test_signatures_are_made(self) -> None:
        for case in signatures()["sign"]:
            with self.subTest(case["name"]):
                made = holdfast.sign_webhook(case["body"].encode(), case["secrets"], timestamp=case["timestamp"])
                self.assertEqual(case["signature"], made)

    def test_signatures_are_verified(self) -> None:
        cases = signatures()
        genuine = cases["sign"][0]
        mac = genuine["signature"][-64:]
        for case in cases["verify"]:
            with self.subTest(case["name"]):
                signature = case["signature"]
                if signature is not None:
                    signature = signature.replace("MAC_CAPITALS", mac.upper()).replace("MAC", mac)
                    signature = signature.replace("ZEROS", "0" * 64)
                valid = True
                try:
                    holdfast.verify_webhook(
                        case.get("body", genuine["body"]).encode(),
                        signature,
                        case.get("secrets", ["another secret", *genuine["secrets"]]),
                        now=case.get("now", genuine["timestamp"]),
                    )
                except holdfast.InvalidSignature:
                    valid = False
                self.assertEqual(case["valid"], valid)


def signatures() -> Any:
    return json.loads((CLIENT / "conformance/signatures.json").read_text())


def run(case: Dict[str, Any]) -> List[str]:
    """What is wrong with the client in this case."""
    script = Script(case["exchanges"], case.get("nodes", 1), case.get("closed", []))
    settings: Dict[str, Any] = {
        "deadline_s": 10.0, "attempt_timeout_s": 5.0, "stall_timeout_s": 3.0, "silence_timeout_s": 5.0,
        "backoff_base_s": 0.001, "backoff_max_s": 0.002,
    }
    for name, value in case.get("client", {}).items():
        if name.endswith("_ms"):
            settings[f"{name[:-3]}_s"] = value / 1000
        else:
            settings[name] = value
    settings["backoff_max_s"] = max(settings["backoff_max_s"], settings["backoff_base_s"])
    wrong: List[str] = []
    comparison = Comparison()
    begun = time.monotonic()
    try:
        with Client(script.urls, **settings) as client:
            scoped = client.session() if case.get("session") else client
            scoped = scoped.stale() if case.get("stale") else scoped
            for call in case["calls"]:
                wrong += outcome(scoped, call, comparison)
        took_ms = elapsed_ms(begun)
    finally:
        script.end()
    for at, exchange in enumerate(case["exchanges"]):
        if at < len(script.requests):
            expected = dict(exchange.get("request", {}))
            exact = expected.pop("exact_body", None)
            wrong += comparison.differences(expected, script.requests[at], f"request {at}")
            if exact is not None and exact != script.requests[at]["body"]:
                wrong.append(f"request {at}: the body is {script.requests[at]['body']}")
    if len(script.requests) != len(case["exchanges"]):
        wrong.append(f"{len(script.requests)} requests came instead of {len(case['exchanges'])}")
    least, most = case.get("elapsed_ms", [0, 5000])
    if not least <= took_ms <= most:
        wrong.append(f"it took {took_ms:.0f} ms")
    return wrong


def outcome(client: Client, call: Dict[str, Any], comparison: Comparison) -> List[str]:
    """What is wrong with one call."""
    method = getattr(client, call["method"])
    try:
        if call["method"] == "events":
            with method(**call["args"]) as stream:
                rows = list(itertools.islice(stream, call["take"]))
                actual: Any = {"rows": rows, "last_id": stream.last_id}
        elif call["method"].startswith("list_"):
            actual = {"rows": list(itertools.islice(method(**call["args"]), call.get("take")))}
        else:
            actual = {"result": vars(method(**call["args"]))}
    except HoldfastError as error:
        found = {name: getattr(error, name) for name in ERROR_FIELDS}
        found["class"] = type(error).__name__
        actual = {"error": found}
    expected = {name: value for name, value in call.items() if name not in ("method", "args", "take")}
    fewest = expected.get("error", {}).get("attempts_min")
    if fewest is not None:
        expected["error"] = {name: value for name, value in expected["error"].items() if name != "attempts_min"}
        if actual.get("error", {}).get("attempts", 0) < fewest:
            return [f"{call['method']}: fewer than {fewest} attempts: {actual}"]
    return comparison.differences(expected, actual, call["method"])


if __name__ == "__main__":
    unittest.main()
