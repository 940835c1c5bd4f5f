"""The client against three real nodes. Without `HOLDFAST_BINARY` these tests are skipped."""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
import sys
import threading
import unittest
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any, Dict, List

from holdfast import Client, Rejected

from .cluster import SECRET, Cluster, wait_until
from .scripted import CLIENT

ORDERS = 200


@unittest.skipUnless(os.environ.get("HOLDFAST_BINARY"), "HOLDFAST_BINARY names no program")
class Live(unittest.TestCase):
    """One cluster for all tests, each with products of its own."""

    cluster: Cluster
    client: Client

    @classmethod
    def setUpClass(cls) -> None:
        cls.cluster = Cluster()
        cls.addClassCleanup(cls.cluster.end)
        cls.client = Client(cls.cluster.urls, deadline_s=30.0)
        cls.addClassCleanup(cls.client.close)
        # Nodes that still start refuse connections: the call goes on until there is a leader.
        next(cls.client.list_products(), None)
        # The products of `holdfast dev` that the README names.
        cls.client.create_product(name="Laptop Pro", price="999.99", stock=50)
        cls.client.create_product(name="Wireless Mouse", price="29.99", stock=200)

    def test_a_the_types_are_those_of_the_api(self) -> None:
        url = self.cluster.urls[0] + "/openapi.json"
        check = [sys.executable, str(CLIENT / "generate-types"), url, "--check"]
        self.assertEqual(0, subprocess.run(check).returncode)

    def test_b_a_checkout(self) -> None:
        shop = self.client.session()
        mug = shop.create_product(name="Mug", price=Decimal("0.30"), stock=10, sku="mug").data
        user = shop.create_user(name="Dora", email="dora@example.com").data
        hold = shop.create_hold(items=[{"product_id": mug["id"], "quantity": 2}], user_id=user["id"]).data
        self.assertEqual(8, shop.stale().get_product(mug["id"]).data["stock"])
        shop.extend_hold(hold["id"], ttl_seconds=300)
        placed = shop.create_order(hold_id=hold["id"], metadata={"cart": "c-9"})
        self.assertEqual("0.60", placed.data["total_amount"])
        again = shop.create_order(
            hold_id=hold["id"], metadata={"cart": "c-9"}, idempotency_key=placed.idempotency_key
        )
        self.assertEqual((True, placed.data["id"]), (again.replayed, again.data["id"]))
        receipt = shop.send_webhook(
            idempotency_key="checkout-1", order_id=placed.data["id"], status="success",
            amount=Decimal("0.1") * 6, secrets=[SECRET],
        ).data
        self.assertEqual(("PAID", "applied"), (receipt["order_status"], receipt["result"]))
        with self.assertRaises(Rejected) as refused:
            shop.send_webhook(idempotency_key="checkout-2", order_id=1, status="success", secrets=["wrong secret"])
        self.assertEqual("invalid_signature", refused.exception.code)
        steps = [step["to"] for step in shop.order_history(placed.data["id"]).data]
        self.assertEqual(["PENDING", "PROCESSING", "PAID"], steps)
        released = shop.create_hold(items=[{"product_id": mug["id"], "quantity": 1}]).data
        self.assertIsNone(shop.release_hold(released["id"]).data)
        batch = shop.place_batch(
            [
                {"items": [{"product_id": mug["id"], "quantity": 1}], "payment_method": "none"},
                {"items": [{"product_id": mug["id"], "quantity": 99}], "payment_method": "none"},
            ]
        ).data
        self.assertEqual([201, 409], [result["status"] for result in batch])
        cancelled = shop.cancel_order(batch[0]["order"]["id"], reason="changed mind").data
        self.assertEqual("changed mind", cancelled["failure_reason"])
        self.assertEqual("fenced", shop.fence_key("never-used").data["state"])
        with self.assertRaises(Rejected) as fenced:
            shop.purchase(mug["id"], 1, idempotency_key="never-used")
        self.assertEqual("key_fenced", fenced.exception.code)
        self.assertEqual("unused", shop.order_by_key("ä/?").data["state"])
        adjusted = shop.adjust_stock(mug["id"], delta=5, reason="found some").data
        self.assertEqual(13, adjusted["stock"])
        patched = shop.patch_product(mug["id"], sku=None, price="0.40").data
        self.assertEqual((None, "0.40"), (patched["sku"], patched["price"]))
        causes = [row["cause"] for row in shop.list_ledger(mug["id"], page_size=2)]
        self.assertEqual(["created", "hold", "hold_consume", "sale"], causes[:4])
        with self.assertRaises(Rejected) as outdated:
            shop.archive_product(mug["id"], if_match=1)
        self.assertEqual("version_mismatch", outdated.exception.code)
        shop.archive_product(mug["id"])
        self.assertEqual(1, shop.orders_page(user_id=user["id"]).meta["total"])
        self.assertEqual("ok", shop.health().data["status"])
        self.assertEqual(3, len(shop.cluster().data["members"]))

    def test_b_the_snippets_of_the_readme_run(self) -> None:
        readme = (CLIENT / "python/README.md").read_text()
        snippets = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
        self.assertGreater(len(snippets), 5)
        names: Dict[str, Any] = {}
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), contextlib.ExitStack() as stack:
            stack.callback(lambda: names["client"].close())
            for snippet in snippets:
                for port, url in zip((8080, 8081, 8082), self.cluster.urls):
                    snippet = snippet.replace(f"http://127.0.0.1:{port}", url)
                exec(snippet.replace("a webhook secret", SECRET), names)
        text = printed.getvalue()
        for expected in ("PENDING 1999.98", "insufficient_stock", "fenced", "[201, 201]", "applied PAID", "order.placed"):
            self.assertIn(expected, text)

    def test_c_orders_go_on_while_the_leader_is_killed(self) -> None:
        product = self.client.create_product(name="Drop", price="10", stock=1000).data["id"]
        events: List[int] = []
        stream = self.client.events(types=["order.placed"], product_id=product)
        stream.open()

        def follow() -> None:
            with stream:
                for event in stream:
                    events.append(event["order_id"])
                    if len(events) >= ORDERS:
                        return

        follower = threading.Thread(target=follow, daemon=True)
        follower.start()
        killed = threading.Event()

        def place(number: int) -> int:
            if number == ORDERS // 3:
                leader = self.client.cluster().data["leader_id"]
                assert leader is not None
                self.cluster.kill(leader)
                killed.set()
            answer = self.client.create_order(
                items=[{"product_id": product, "quantity": 1}],
                payment_method="none",
                idempotency_key=f"order-{number}",
            )
            return answer.data["id"]

        with ThreadPoolExecutor(8) as pool:
            placed = list(pool.map(place, range(ORDERS)))
        self.assertTrue(killed.is_set())
        self.assertEqual(ORDERS, len(set(placed)), "each key has an order of its own")
        listed = [order["id"] for order in self.client.list_orders(product_id=product, page_size=7)]
        self.assertEqual(sorted(placed, reverse=True), listed, "no order is lost and none is doubled")
        counters = self.client.get_product(product).data
        self.assertEqual((1000 - ORDERS, ORDERS), (counters["stock"], counters["reserved"]))
        wait_until(lambda: len(events) >= ORDERS)
        self.assertEqual(sorted(placed), sorted(events), "each event came once")
        self.assertEqual(events, sorted(events), "events come in order")


if __name__ == "__main__":
    unittest.main()
