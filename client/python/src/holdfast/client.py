"""The client: one method for each operation of the API."""

from __future__ import annotations

import ssl
import time
import uuid
from dataclasses import replace
from decimal import Decimal
from typing import Any, Dict, Iterable, Iterator, List, Mapping, Optional, Sequence, Union
from urllib.parse import quote, urlencode

from . import _call, wire
from ._call import CANCEL, KEYED, ONCE, READ, REPLACE, Call, Scope, Session, Settings
from ._endpoints import Endpoints
from ._transport import Transport
from .answer import Answer, Page
from .errors import HoldfastError
from .events import EventStream
from .webhooks import SIGNATURE_HEADER, sign_webhook

Price = Union[str, int, Decimal]
"""An amount: text, a whole number or a `Decimal`, never a float."""

_ORDERS_MAX = 1000


class _Keep:
    """The default of a field that a patch leaves as it is."""

    def __repr__(self) -> str:
        return "KEEP"


KEEP: Any = _Keep()


class Client:
    """A client of one cluster. Safe to share between threads.

    Every call ends within its deadline: with an `Answer`, or with `Rejected`, `NotApplied` or `Unknown`.
    Optional arguments that are None are not sent.
    """

    def __init__(
        self,
        urls: Union[str, Sequence[str]],
        *,
        token: Optional[str] = None,
        tls: Optional[ssl.SSLContext] = None,
        deadline_s: float = 15.0,
        attempt_timeout_s: float = 6.0,
        stall_timeout_s: float = 1.5,
        connect_timeout_s: float = 1.0,
        silence_timeout_s: float = 5.0,
        attempts_max: Optional[int] = None,
        backoff_base_s: float = 0.05,
        backoff_max_s: float = 2.0,
        answer_bytes_max: int = 32 * 1024 * 1024,
    ) -> None:
        """Makes no connection before the first call.

        urls: the base URLs of the nodes. The client asks the first one, and the others when it fails.
        token: sent as `Authorization: Bearer …`.
        deadline_s: time for a whole call with all its attempts and waits.
        attempt_timeout_s: time for one attempt. It should exceed the servers' own limit of 5 s.
        stall_timeout_s: time for an attempt of the first round over all nodes, when the request may be
            sent again; each further round gets twice as long, up to `attempt_timeout_s`.
        connect_timeout_s: time for connecting.
        silence_timeout_s: an event stream that hears nothing for this long moves to the next node. Nodes
            are asked for heartbeats three times as often, but for at most one a second.
        attempts_max: most attempts of a call; None sets no limit but the deadline.
        backoff_base_s, backoff_max_s: the first and the longest wait between attempts.
        answer_bytes_max: the longest body of an answer.
        """
        settings = Settings(
            deadline_s=deadline_s,
            attempt_timeout_s=attempt_timeout_s,
            stall_timeout_s=stall_timeout_s,
            silence_timeout_s=silence_timeout_s,
            attempts_max=attempts_max,
            backoff_base_s=backoff_base_s,
            backoff_max_s=backoff_max_s,
        )
        settings.check()
        self._endpoints = Endpoints(urls)
        self._transport = Transport(connect_timeout_s, answer_bytes_max, tls)
        self._scope = Scope(settings, token=token)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes idle connections. The client can still be used."""
        self._transport.close()

    # Clones. They share connections and what is known about the nodes.

    def with_options(
        self,
        *,
        deadline_s: Optional[float] = None,
        attempts_max: Optional[int] = None,
        trace_id: Optional[str] = None,
        token: Optional[str] = None,
    ) -> Client:
        """A clone whose calls differ in what is given."""
        settings = self._scope.settings
        if deadline_s is not None:
            settings = replace(settings, deadline_s=deadline_s)
        if attempts_max is not None:
            settings = replace(settings, attempts_max=attempts_max)
        settings.check()
        scope = replace(self._scope, settings=settings)
        if trace_id is not None:
            if not 1 <= len(trace_id) <= 128 or not all("!" <= letter <= "~" for letter in trace_id):
                raise ValueError("a trace id must be 1 to 128 visible ASCII characters")
            scope = replace(scope, trace_id=trace_id)
        if token is not None:
            scope = replace(scope, token=token)
        return self._clone(scope)

    def stale(self) -> Client:
        """A clone whose reads are answered at once from the state of the node that is asked."""
        return self._clone(replace(self._scope, stale=True))

    def node(self, index: int) -> Client:
        """A clone that asks only the base URL with this index, from 0."""
        if not 0 <= index < len(self._endpoints.urls):
            raise ValueError(f"there is no base URL {index}")
        return self._clone(replace(self._scope, node=index))

    def session(self, position: int = 0) -> Client:
        """A clone that reads its own writes.

        Its reads, even stale ones and from any node, reflect at least what its earlier answers
        reflected, and `position`: that of another process, for example.
        """
        return self._clone(replace(self._scope, session=Session(position)))

    @property
    def position(self) -> Optional[int]:
        """The highest position that the session has seen; None outside of a session."""
        return self._scope.session.position if self._scope.session else None

    # Orders.

    def create_order(
        self,
        *,
        items: Optional[Sequence[wire.OrderLineRequest]] = None,
        hold_id: Optional[int] = None,
        user_id: Optional[int] = None,
        payment_method: Optional[wire.PaymentMethod] = None,
        metadata: Optional[Mapping[str, Any]] = None,
        idempotency_key: Optional[str] = None,
    ) -> Answer[wire.Order]:
        """Places an order of `items`, or of what a hold holds.

        Without a key the client makes one, so the order is placed at most once. The key is in the
        answer and in the error.
        """
        body = _given(
            items=items, hold_id=hold_id, user_id=user_id, payment_method=payment_method, metadata=metadata
        )
        return self._keyed("/orders", body, idempotency_key)

    def purchase(
        self,
        product_id: int,
        quantity: int,
        *,
        user_id: Optional[int] = None,
        idempotency_key: Optional[str] = None,
    ) -> Answer[wire.Order]:
        """Buys one product; the order in the answer contains the product after the sale."""
        body = _given(product_id=product_id, quantity=quantity, user_id=user_id)
        return self._keyed("/orders/purchase", body, idempotency_key)

    def place_batch(
        self, orders: Sequence[wire.OrderRequest], *, atomic: bool = False
    ) -> Answer[List[wire.BatchResult]]:
        """Places 1 to 1,000 orders, each by itself, or with `atomic` all or none.

        An order without a key gets one. If the batch is not atomic, orders whose result says that a
        retry may help are sent again under their keys until the deadline.
        """
        if not 1 <= len(orders) <= _ORDERS_MAX:
            raise ValueError(f"a batch must have 1 to {_ORDERS_MAX} orders, not {len(orders)}")
        keyed = [{**order, "idempotency_key": _key(order.get("idempotency_key"))} for order in orders]
        settings = self._scope.settings
        deadline = time.monotonic() + settings.deadline_s
        answer = self._batch(keyed, atomic, deadline)
        attempts, data = answer.attempts, list(answer.data)
        while True:
            again = [at for at, result in enumerate(data) if result.get("retryable") is True]
            wait_s = _call.backoff_s(attempts - 1, settings)
            if not again or time.monotonic() + wait_s + _call.ANSWER_TIME_MIN_S > deadline:
                break
            if settings.attempts_max is not None and attempts >= settings.attempts_max:
                break
            time.sleep(wait_s)
            try:
                more = self._batch([keyed[at] for at in again], False, deadline)
            except HoldfastError:
                # The results are worth more than the reason why a retry did not help.
                break
            attempts += more.attempts
            for at, result in zip(again, more.data):
                data[at] = {**result, "index": at}
        return replace(answer, data=data, attempts=attempts)

    def get_order(self, order_id: int) -> Answer[wire.Order]:
        """Reads an order."""
        return self._read(f"/orders/{order_id:d}")

    def list_orders(
        self,
        *,
        user_id: Optional[int] = None,
        status: Optional[wire.OrderStatus] = None,
        product_id: Optional[int] = None,
        page_size: int = 200,
    ) -> Iterator[wire.Order]:
        """Iterates over all orders that match, newest first, `page_size` (at most 1,000) a request."""
        query = _given(user_id=user_id, status=status, product_id=product_id, limit=page_size)
        return self._all("/orders", query, "cursor")

    def orders_page(
        self,
        *,
        page: int = 1,
        per_page: Optional[int] = None,
        user_id: Optional[int] = None,
        status: Optional[wire.OrderStatus] = None,
        product_id: Optional[int] = None,
    ) -> Page[List[wire.Order]]:
        """Reads one page of orders, with exact counts in `meta`."""
        query = _given(user_id=user_id, status=status, product_id=product_id, page=page, per_page=per_page)
        return self._page("/orders", query)

    def order_history(self, order_id: int) -> Answer[List[wire.OrderEvent]]:
        """Reads the steps of an order, oldest first."""
        return self._read(f"/orders/{order_id:d}/events")

    def cancel_order(self, order_id: int, *, reason: Optional[str] = None) -> Answer[wire.Order]:
        """Cancels a PENDING order. An order that is already cancelled is a success."""
        return self._write("POST", f"/orders/{order_id:d}/cancel", CANCEL, _given(reason=reason))

    def order_by_key(self, key: str) -> Answer[wire.ByKey]:
        """Reads the state of a key: `applied` with its order, `fenced` or `unused`. Never stale."""
        fresh = self._clone(replace(self._scope, stale=False))
        return fresh._read(f"/orders/by-key/{_segment(_key(key))}")

    def fence_key(self, key: str) -> Answer[wire.ByKey]:
        """Resolves an unknown outcome: the key has an order, or never makes one from now on."""
        return self._write("POST", f"/orders/by-key/{_segment(_key(key))}/fence", REPLACE)

    # Holds.

    def create_hold(
        self,
        *,
        items: Sequence[wire.OrderLineRequest],
        user_id: Optional[int] = None,
        ttl_seconds: Optional[int] = None,
        idempotency_key: Optional[str] = None,
    ) -> Answer[wire.Hold]:
        """Sets units aside until a deadline."""
        body = _given(items=items, user_id=user_id, ttl_seconds=ttl_seconds)
        return self._keyed("/holds", body, idempotency_key)

    def get_hold(self, hold_id: int) -> Answer[wire.Hold]:
        """Reads a hold."""
        return self._read(f"/holds/{hold_id:d}")

    def extend_hold(self, hold_id: int, *, ttl_seconds: int) -> Answer[wire.Hold]:
        """Extends an active hold to this many seconds from now."""
        body = {"ttl_seconds": ttl_seconds}
        return self._write("POST", f"/holds/{hold_id:d}/extend", REPLACE, body)

    def release_hold(self, hold_id: int) -> Answer[None]:
        """Releases an active hold. A hold that was already released is a success."""
        return self._write("DELETE", f"/holds/{hold_id:d}", CANCEL)

    # Products.

    def create_product(
        self,
        *,
        name: str,
        price: Price,
        stock: int,
        sku: Optional[str] = None,
        max_per_order: Optional[int] = None,
        max_per_user: Optional[int] = None,
        low_stock_threshold: Optional[int] = None,
    ) -> Answer[wire.Product]:
        """Creates a product. Takes no key, so it is not sent again after an unknown outcome."""
        body = _product(name, price, stock, sku, max_per_order, max_per_user, low_stock_threshold)
        return self._write("POST", "/products", ONCE, body)

    def get_product(self, product_id: int) -> Answer[wire.Product]:
        """Reads a product. An archived one is `not_found`."""
        return self._read(f"/products/{product_id:d}")

    def list_products(
        self, *, ids: Optional[Iterable[int]] = None, page_size: int = 1000
    ) -> Iterator[wire.Product]:
        """Iterates over all products, or those with these ids, by ascending id."""
        wanted = None if ids is None else ",".join(str(int(product)) for product in ids)
        return self._all("/products", _given(ids=wanted, limit=page_size), "cursor")

    def replace_product(
        self,
        product_id: int,
        *,
        name: str,
        price: Price,
        stock: int,
        sku: Optional[str] = None,
        max_per_order: Optional[int] = None,
        max_per_user: Optional[int] = None,
        low_stock_threshold: Optional[int] = None,
        if_match: Optional[int] = None,
    ) -> Answer[wire.Product]:
        """Replaces all fields, if the product has the version `if_match`, or without it always."""
        body = _product(name, price, stock, sku, max_per_order, max_per_user, low_stock_threshold)
        repeat = REPLACE if if_match is None else ONCE
        return self._write("PUT", f"/products/{product_id:d}", repeat, body, if_match=if_match)

    def patch_product(
        self,
        product_id: int,
        *,
        name: str = KEEP,
        price: Price = KEEP,
        stock: int = KEEP,
        sku: Optional[str] = KEEP,
        max_per_order: Optional[int] = KEEP,
        max_per_user: Optional[int] = KEEP,
        low_stock_threshold: Optional[int] = KEEP,
        if_match: Optional[int] = None,
    ) -> Answer[wire.Product]:
        """Updates the given fields; None removes one. Not sent again after an unknown outcome."""
        fields = {
            "name": name,
            "price": price if price is KEEP else _price(price),
            "stock": stock,
            "sku": sku,
            "max_per_order": max_per_order,
            "max_per_user": max_per_user,
            "low_stock_threshold": low_stock_threshold,
        }
        body = {name: value for name, value in fields.items() if value is not KEEP}
        return self._write("PATCH", f"/products/{product_id:d}", ONCE, body, if_match=if_match)

    def archive_product(self, product_id: int, *, if_match: Optional[int] = None) -> Answer[None]:
        """Archives a product. Open orders still settle. Not sent again after an unknown outcome."""
        return self._write("DELETE", f"/products/{product_id:d}", ONCE, if_match=if_match)

    def adjust_stock(
        self,
        product_id: int,
        *,
        reason: str,
        delta: Optional[int] = None,
        set: Optional[int] = None,
        expected: Optional[int] = None,
        idempotency_key: Optional[str] = None,
    ) -> Answer[wire.Adjustment]:
        """Adds `delta` units, or sets the units that can be sold; with `expected` only from that number."""
        body = _given(delta=delta, set=set, expected=expected, reason=reason)
        return self._keyed(f"/products/{product_id:d}/adjustments", body, idempotency_key)

    def list_ledger(
        self, product_id: int, *, after: Optional[str] = None, page_size: int = 200
    ) -> Iterator[wire.LedgerRow]:
        """Iterates over the movements of a product's units, oldest first."""
        return self._all(f"/products/{product_id:d}/ledger", _given(after=after, limit=page_size), "after")

    # Users and payments.

    def create_user(self, *, name: str, email: str) -> Answer[wire.User]:
        """Creates a user. Takes no key, so it is not sent again after an unknown outcome."""
        return self._write("POST", "/users", ONCE, {"name": name, "email": email})

    def get_user(self, user_id: int) -> Answer[wire.User]:
        """Reads a user."""
        return self._read(f"/users/{user_id:d}")

    def send_webhook(
        self,
        *,
        idempotency_key: str,
        order_id: int,
        status: wire.PaymentResult,
        amount: Optional[Price] = None,
        payload: Any = None,
        secrets: Sequence[str] = (),
    ) -> Answer[wire.WebhookReceipt]:
        """Reports the result of a payment, signed with each of `secrets`.

        The provider's key makes it safe to repeat. Only `holdfast dev` takes reports without a signature.
        """
        body = _given(
            idempotency_key=_key(idempotency_key),
            order_id=order_id,
            status=status,
            amount=None if amount is None else _price(amount),
            payload=payload,
        )
        text = _call.encode(body)
        headers = {SIGNATURE_HEADER: sign_webhook(text, secrets)} if secrets else {}
        path = "/api/v1/payments/webhook"
        return self._run(
            Call("POST", path, KEYED, text, key=idempotency_key, headers=headers, decode=_data)
        )

    # Events.

    def events(
        self,
        *,
        types: Sequence[str] = (),
        user_id: Optional[int] = None,
        product_id: Optional[int] = None,
        after: Optional[str] = None,
    ) -> EventStream:
        """Subscribes to events: `for event in client.events(types=["order.*"]): …`

        types: names such as `order.paid` or families such as `order.*`; none means all.
        after: the `last_id` of an earlier stream; `0.0` begins with the oldest event. By default the
            stream begins when it is opened.
        """
        heartbeat_s = min(max(int(self._scope.settings.silence_timeout_s / 3), 1), 60)
        names = ",".join(types) or None
        query = _given(user_id=user_id, product_id=product_id, types=names, heartbeat_seconds=heartbeat_s)
        path = _with_query("/api/v1/events", query)
        return EventStream(self._scope, self._endpoints, self._transport, path, after)

    # Nodes. Reads describe the node that is asked: see `node`.

    def health(self) -> Answer[wire.Health]:
        """Reads the state of a node. A degraded node is an answer too, with status 503."""
        return self._run(Call("GET", "/health", also_answers=503))

    def ready(self) -> Answer[wire.Probe]:
        """Reads whether a node can serve. A node that says no is an answer too, with status 503."""
        return self._run(Call("GET", "/readyz", also_answers=503))

    def cluster(self) -> Answer[wire.Cluster]:
        """Reads the members as the node knows them. It needs no majority."""
        return self._read("/cluster")

    def add_member(
        self,
        member_id: int,
        *,
        raft_addr: str,
        http_addr: Optional[str] = None,
        replaces: Optional[int] = None,
    ) -> Answer[wire.MemberAdded]:
        """Adds a node, which gets a vote once it has caught up. Safe to repeat."""
        body = _given(id=member_id, raft_addr=raft_addr, http_addr=http_addr, replaces=replaces)
        return self._write("POST", "/cluster/members", REPLACE, body)

    def remove_member(self, member_id: int) -> Answer[wire.Cluster]:
        """Removes a member for good. Safe to repeat."""
        return self._write("DELETE", f"/cluster/members/{member_id:d}", REPLACE)

    def transfer_leader(self, to: Optional[int] = None) -> Answer[wire.Cluster]:
        """Transfers leadership to this voter, or to the best other one."""
        return self._write("POST", "/cluster/transfer-leader", REPLACE, _given(to=to))

    def set_payments(self, *, paused: bool) -> Answer[wire.Cluster]:
        """Pauses or resumes payments on all nodes."""
        return self._write("POST", "/cluster/payments", REPLACE, {"paused": paused})

    def take_snapshot(self) -> Answer[wire.Snapshot]:
        """Takes a snapshot of what the answering node has applied."""
        return self._write("POST", "/cluster/snapshot", REPLACE)

    # What the methods above share.

    def _clone(self, scope: Scope) -> Client:
        clone = Client.__new__(Client)
        clone._endpoints, clone._transport, clone._scope = self._endpoints, self._transport, scope
        return clone

    def _run(self, call: Call, deadline: Optional[float] = None) -> Any:
        return _call.run(call, self._scope, self._endpoints, self._transport, deadline)

    def _read(self, path: str) -> Any:
        return self._run(Call("GET", f"/api/v1{path}", READ, decode=_data))

    def _write(
        self, method: str, path: str, repeat: str, body: Any = None, if_match: Optional[int] = None
    ) -> Any:
        headers = {} if if_match is None else {"If-Match": f'"{if_match:d}"'}
        text = None if body is None else _call.encode(body)
        return self._run(Call(method, f"/api/v1{path}", repeat, text, headers=headers, decode=_data))

    def _keyed(self, path: str, body: Dict[str, Any], key: Optional[str]) -> Any:
        key = _key(key)
        text = _call.encode({**body, "idempotency_key": key})
        return self._run(Call("POST", f"/api/v1{path}", KEYED, text, key=key, decode=_data))

    def _page(self, path: str, query: Mapping[str, Any]) -> Any:
        return self._run(Call("GET", _with_query(f"/api/v1{path}", query), decode=_list))

    def _all(self, path: str, query: Dict[str, Any], cursor: str) -> Iterator[Any]:
        while True:
            page = self._page(path, query)
            yield from page.data
            if not page.meta["next_cursor"]:
                return
            query = {**query, cursor: page.meta["next_cursor"]}

    def _batch(self, orders: List[Any], atomic: bool, deadline: float) -> Answer[List[Any]]:
        def decode(content: Any) -> Any:
            data = content["data"]
            if [result["index"] for result in data] != list(range(len(orders))):
                raise ValueError(f"it has not one result for each of {len(orders)} orders")
            return data

        text = _call.encode({"atomic": atomic, "orders": orders})
        call = Call("POST", "/api/v1/orders/batch", KEYED, text, decode=decode)
        answer: Answer[List[Any]] = self._run(call, deadline)
        return answer


def _data(content: Any) -> Any:
    data = content["data"]
    if not isinstance(data, (dict, list)):
        raise ValueError("its data is neither an object nor a list")
    return data


def _list(content: Any) -> Any:
    data, meta = content["data"], content["meta"]
    if not isinstance(data, list) or "next_cursor" not in meta:
        raise ValueError("it is not a page of a list")
    return data


def _given(**fields: Any) -> Dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _key(key: Optional[str]) -> str:
    if key is None:
        return str(uuid.uuid4())
    if not 1 <= len(key) <= 255:
        raise ValueError(f"an idempotency key must have 1 to 255 characters, not {len(key)}")
    return key


def _price(price: Price) -> str:
    if isinstance(price, (float, bool)):
        raise TypeError("an amount must be text, a whole number or a Decimal: floats are not exact")
    return str(price)


def _product(
    name: str,
    price: Price,
    stock: int,
    sku: Optional[str],
    max_per_order: Optional[int],
    max_per_user: Optional[int],
    low_stock_threshold: Optional[int],
) -> Dict[str, Any]:
    return _given(
        name=name,
        price=_price(price),
        stock=stock,
        sku=sku,
        max_per_order=max_per_order,
        max_per_user=max_per_user,
        low_stock_threshold=low_stock_threshold,
    )


def _segment(text: str) -> str:
    # Dots alone would mean a relative path.
    return "%2E" * len(text) if set(text) == {"."} else quote(text, safe="")


def _with_query(path: str, query: Mapping[str, Any]) -> str:
    return f"{path}?{urlencode(query)}" if query else path
