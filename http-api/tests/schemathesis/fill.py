"""Waits until a node is ready and gives it something to read and to sell."""

import json
import os
import sys
import time
import urllib.error
import urllib.request

url = sys.argv[1]
TOKEN = os.environ["HOLDFAST_TEST_TOKEN"]


def post(path, body):
    request = urllib.request.Request(
        f"{url}/api/v1/{path}",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json", "Authorization": f"Bearer {TOKEN}"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 201, answer.status


for attempt in range(100):
    try:
        urllib.request.urlopen(f"{url}/readyz", timeout=5).close()
        break
    except urllib.error.URLError:
        time.sleep(0.1)
else:
    sys.exit("the node never got ready")

for number in range(1, 21):
    post("products", {"name": f"Product {number}", "price": "9.99", "stock": 1_000_000})
    post("users", {"name": f"User {number}", "email": f"user{number}@example.com"})
for number in range(1, 21):
    post("holds", {"product_id": number, "qty": 2, "ttl_seconds": 3600})
for number in range(1, 61):
    post(
        "orders",
        {
            "user_id": 1 + number % 20,
            "items": [{"product_id": 1 + number % 20, "quantity": 1}],
            "payment_method": "none" if number % 2 else "mock",
            "idempotency_key": f"key-{number}",
        },
    )
