"""Client of a Holdfast cluster.

    client = Client(["http://127.0.0.1:8080", "http://127.0.0.1:8081"])
    order = client.create_order(items=[{"product_id": 1, "quantity": 2}]).data

`Client` retries where that is safe, at another node if there is one, until a deadline. Every error
says what is known about the effect: `Rejected`, `NotApplied` or `Unknown`.
"""

from . import wire
from .answer import Answer, Page
from .client import Client
from .errors import EventsGone, HoldfastError, InvalidSignature, NotApplied, Rejected, Unknown
from .events import EventStream
from .webhooks import sign_webhook, verify_webhook

__all__ = [
    "Answer",
    "Client",
    "EventStream",
    "EventsGone",
    "HoldfastError",
    "InvalidSignature",
    "NotApplied",
    "Page",
    "Rejected",
    "Unknown",
    "sign_webhook",
    "verify_webhook",
    "wire",
]
