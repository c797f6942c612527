"""Webhooks: what a signal sends becomes a request to each endpoint that wants it, beside the receiver of tutorials."""

import datetime
import json
from decimal import Decimal

import pytest
from standardwebhooks import Webhook

from heliograph import Signal, changed
from heliograph.outbox import drain
from heliograph.recipes import webhook
from heliograph.recipes.declarations import declarations
from heliograph.signals import post_save
from tests.app.models import Parcel
from tests.helpers.standard_webhooks import verified

pytestmark = pytest.mark.django_db(databases=["default", "other"])

parcel_sent = Signal(name="shop.parcel_sent")


@Signal.define
def parcel_lost(sender, *, code: str, weight: Decimal = Decimal("1.50")) -> None:
    """Nobody knows where a parcel is."""


@pytest.fixture(autouse=True)
def _nothing_stays():
    yield
    for one in declarations[:]:
        one.disconnect()


def code(parcel):
    return {"code": parcel.code, "status": parcel.status}


@pytest.fixture
def paid():
    """Announce parcels that are paid."""
    return webhook(post_save, sender=Parcel, when=changed("status", to="paid"), event="parcel.paid", payload=code)


def bodies(server):
    return [json.loads(one.body) for one in server.requests]


def data(server):
    return [one["data"] for one in bodies(server)]


# --- from a signal to a request -----------------------------------------------------------------------------------


def test_r14_a_request_is_verified_by_another_implementation(serve, paid):
    server, endpoint = serve()
    parcel = Parcel.objects.create(code="a")
    parcel.status = "paid"
    parcel.save()
    drain()
    (request,) = server.requests
    message = verified(request, endpoint.secret)
    assert message == Webhook(endpoint.secret).verify(request.body, request.headers)
    assert (message["type"], message["data"]) == ("parcel.paid", {"code": "a", "status": "paid"})
    assert datetime.datetime.fromisoformat(message["timestamp"]).tzinfo is not None
    assert request.headers["content-type"] == "application/json"


def test_a_signal_of_ones_own_sends_what_its_payload_says(serve):
    server, _ = serve()
    webhook(parcel_lost, event="parcel.lost", payload=lambda code, weight: {"code": code, "grams": weight * 1000})
    parcel_lost.send(sender=None, code="a")
    drain()
    assert data(server) == [{"code": "a", "grams": "1500.00"}]


def test_without_a_payload_all_that_is_sent_is_the_data(serve):
    server, _ = serve()
    webhook(parcel_lost, event="parcel.lost")
    parcel_lost.send(sender=None, code="a")
    drain()
    assert data(server) == [{"code": "a", "weight": "1.50"}]
