"""Places an order through the clients that openapi-generator and openapi-python-client made.

    python place.py URL
"""

import json
import sys
import uuid

import holdfast_generated as openapi_generator
import holdfast_python_client as python_client
from holdfast_python_client import models
from holdfast_python_client.api.orders import get_order, place_order

url = sys.argv[1]
key = str(uuid.uuid4())


def by_openapi_generator() -> int:
    api = openapi_generator.OrdersApi(openapi_generator.ApiClient(openapi_generator.Configuration(host=url)))

    def request(quantity: int) -> openapi_generator.OrderRequest:
        line = openapi_generator.OrderLineRequest(product_id=1, quantity=quantity)
        return openapi_generator.OrderRequest(user_id=1, items=[line])

    placed = api.place_order(request(1), idempotency_key=key).data
    assert placed.items[0].product_id == 1 and placed.total_amount, placed
    assert api.place_order(request(1), idempotency_key=key).data.id == placed.id
    try:
        api.place_order(request(1_000_000))
    except openapi_generator.ApiException as refused:
        problem = refused.data or openapi_generator.Problem.from_json(refused.body)
        assert refused.status == 409 and problem.error == "insufficient_stock", problem
        assert problem.outcome == "rejected" and problem.shortages[0].requested == 1_000_000, problem
    else:
        raise AssertionError("sold more than there is")
    return placed.id


def by_python_client() -> int:
    client = python_client.AuthenticatedClient(base_url=url, token="not-asked-for")

    def request(quantity: int) -> models.OrderRequest:
        line = models.OrderLineRequest(product_id=1, quantity=quantity)
        return models.OrderRequest(user_id=1, items=[line])

    answer = place_order.sync_detailed(client=client, body=request(1), idempotency_key=key)
    assert answer.status_code == 200 and isinstance(answer.parsed, models.OrderAnswer), answer
    read = get_order.sync(client=client, id=answer.parsed.data.id)
    assert isinstance(read, models.OrderAnswer) and read.data.total_amount, read
    refused = place_order.sync_detailed(client=client, body=request(1_000_000))
    assert refused.status_code == 409 and isinstance(refused.parsed, models.Problem), refused
    assert refused.parsed.outcome == models.Outcome.REJECTED, refused.parsed
    return answer.parsed.data.id


first, again = by_openapi_generator(), by_python_client()
# The second client sent the same order under the same key.
assert first == again, (first, again)
print(json.dumps({"order": first}))
