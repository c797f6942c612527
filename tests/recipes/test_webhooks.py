"""Webhooks: what a signal sends becomes a request to each endpoint that wants it, beside the receiver of tutorials."""

import datetime
import json
import subprocess
import sys
import threading
from decimal import Decimal

import pytest
import urllib3
from django.apps import apps
from django.core import serializers
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction
from standardwebhooks import Webhook

from heliograph import Signal, changed, created, mute, trace
from heliograph.outbox import drain
from heliograph.outbox.models import Delivery
from heliograph.recipes import webhook
from heliograph.recipes.declarations import declarations
from heliograph.recipes.webhooks.declared_events import known_events
from heliograph.signals import post_delete, post_save, pre_save
from tests.app.models import Parcel, ParcelProxy, Registered
from tests.helpers.endpoints import answer_when
from tests.helpers.patched import patched_methods
from tests.helpers.standard_webhooks import verified
from tests.helpers.threads import LONG, in_thread
from tests.helpers.waiting import until

pytestmark = pytest.mark.django_db(databases=["default", "other"])

parcel_sent = Signal(name="shop.parcel_sent")


@Signal.define
def parcel_lost(sender, *, code: str, weight: Decimal = Decimal("1.50")) -> None:
    """Nobody knows where a parcel is."""


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


def test_each_endpoint_that_wants_an_event_has_a_delivery_of_its_own(serve, paid):
    wanting, everything, other = (serve(events=events)[0] for events in (["parcel.paid"], [], ["parcel.lost"]))
    Parcel.objects.create(code="a")
    Parcel.objects.update(status="paid")
    drain()
    assert [len(server.requests) for server in (wanting, everything, other)] == [1, 1, 0]
    assert wanting.requests[0].body == everything.requests[0].body
    assert Delivery.objects.filter(signal__endswith="message_due").count() == 2


def test_endpoints_get_the_events_of_their_owner_only(serve):
    ada, bob, nobody = (serve(owner=owner)[0] for owner in ("ada", "bob", ""))
    webhook(parcel_lost, event="parcel.lost", owner=lambda code: code)
    parcel_lost.send(sender=None, code="ada")
    drain()
    assert [len(server.requests) for server in (ada, bob, nobody)] == [1, 0, 0]


def test_owners_are_compared_with_respect_to_case(serve):
    server, _ = serve(owner="Ada")
    webhook(parcel_lost, event="parcel.lost", owner=lambda code: code)
    parcel_lost.send(sender=None, code="ada")
    drain()
    assert server.requests == []


def test_an_endpoint_that_is_made_later_gets_later_events_only(serve, paid):
    Parcel.objects.create(code="a")
    Parcel.objects.update(status="paid")
    drain()
    server, _ = serve()
    drain()
    assert server.requests == []


# --- each kind of write -------------------------------------------------------------------------------------------


def save():
    parcel = Parcel.objects.get()
    parcel.status = "paid"
    parcel.save()


def save_one_field():
    parcel = Parcel.objects.get()
    parcel.status = "paid"
    parcel.save(update_fields=["status"])


def save_a_proxy():
    parcel = ParcelProxy.objects.get()
    parcel.status = "paid"
    parcel.save()


def bulk_update():
    parcel = Parcel.objects.get()
    parcel.status = "paid"
    Parcel.objects.bulk_update([parcel], ["status"])


def update():
    Parcel.objects.update(status="paid")


WRITES = [save, save_one_field, save_a_proxy, bulk_update, update]


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("is_in_atomic", [True, False])
def test_each_kind_of_write_sends_the_event_once(serve, paid, write, is_in_atomic):
    server, _ = serve()
    Parcel.objects.create(code="a")
    if is_in_atomic:
        with transaction.atomic():
            write()
    else:
        write()
    drain()
    assert data(server) == [{"code": "a", "status": "paid"}]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("write", WRITES)
def test_each_kind_of_write_sends_it_when_it_really_commits(serve, paid, write):
    server, _ = serve()
    Parcel.objects.create(code="a")
    write()
    drain()
    assert data(server) == [{"code": "a", "status": "paid"}]


def test_rows_that_are_created_in_bulk_have_an_event_each(serve):
    server, _ = serve()
    webhook(post_save, sender=Parcel, when=created, event="parcel.created", payload=code)
    Parcel.objects.bulk_create([Parcel(code="a"), Parcel(code="b")])
    Registered.objects.create(code="c")
    drain()
    assert [one["code"] for one in data(server)] == ["a", "b", "c"]


DELETIONS = {
    "delete()": lambda: Parcel.objects.get().delete(),
    "delete() of a query": lambda: Parcel.objects.all().delete(),
}


@pytest.mark.parametrize("delete", DELETIONS.values(), ids=DELETIONS)
def test_a_row_that_is_deleted_is_sent_as_it_was(serve, delete):
    server, _ = serve()
    webhook(post_delete, sender=Parcel, event="parcel.deleted", payload=code)
    Parcel.objects.create(code="a", status="paid")
    delete()
    drain()
    assert data(server) == [{"code": "a", "status": "paid"}]


def test_a_write_of_other_fields_sends_nothing(serve, paid):
    server, _ = serve()
    parcel = Parcel.objects.create(code="a")
    parcel.status = "paid"
    parcel.save(update_fields=["note"])
    drain()
    assert server.requests == []


def test_rows_of_fixtures_are_left_alone(serve):
    server, _ = serve()
    webhook(post_save, sender=Parcel, event="parcel.saved", payload=code)
    for one in serializers.deserialize("json", serializers.serialize("json", [Parcel(pk=1, code="a")])):
        one.save()
    drain()
    assert server.requests == []


def test_a_row_of_another_database_has_its_event_in_the_transaction_there(serve, paid):
    server, _ = serve()
    Parcel.objects.using("other").create(code="a")
    Parcel.objects.using("other").update(status="paid")
    assert Delivery.objects.using("other").count() == 1
    drain("other")
    drain()
    assert len(server.requests) == 1


def test_a_signal_of_ones_own_goes_by_the_database_of_its_instance(serve):
    @Signal.define
    def parcel_found(sender, *, parcel: Parcel) -> None:
        """A parcel is here again."""

    webhook(parcel_found, event="parcel.found", payload=lambda parcel: code(parcel))
    parcel_found.send(sender=None, parcel=Parcel.objects.using("other").create(code="a"))
    assert (Delivery.objects.count(), Delivery.objects.using("other").count()) == (0, 1)


def test_a_signal_of_ones_own_goes_by_the_database_that_it_names():
    webhook(parcel_sent, event="parcel.sent")
    parcel_sent.send(sender=None, using="other", code="a")
    assert (Delivery.objects.count(), Delivery.objects.using("other").count()) == (0, 1)


def test_a_payload_may_take_all_that_is_sent(serve):
    server, _ = serve()
    webhook(parcel_sent, event="parcel.sent", payload=lambda **sent: sorted(sent))
    parcel_sent.send(sender=None, code="a", weight=1)
    drain()
    assert data(server) == [["code", "sender", "weight"]]


# --- transactions -------------------------------------------------------------------------------------------------


def test_what_is_rolled_back_is_not_sent(serve, paid):
    server, _ = serve()
    Parcel.objects.create(code="a")
    with transaction.atomic():
        save()
        transaction.set_rollback(True)
    drain()
    assert server.requests == []


def test_what_a_savepoint_rolls_back_is_not_sent(serve, paid):
    server, _ = serve()
    Parcel.objects.create(code="a")
    with transaction.atomic():
        with transaction.atomic():
            save()
            transaction.set_rollback(True)
        Parcel.objects.create(code="b", status="new")
    drain()
    assert server.requests == []


def test_an_event_says_what_was_true_when_it_happened(serve, paid):
    server, _ = serve()
    parcel = Parcel.objects.create(code="a")
    parcel.status = "paid"
    parcel.save()
    parcel.status = "shipped"
    parcel.save()
    parcel.delete()
    drain()
    assert data(server) == [{"code": "a", "status": "paid"}]


def test_an_event_that_cannot_be_sent_undoes_the_write(serve):
    webhook(post_save, sender=Parcel, event="parcel.saved", payload=lambda parcel: {"parcel": parcel})
    with pytest.raises(TypeError) as raised:
        Parcel.objects.create(code="a")
    assert str(raised.value) == (
        "webhook(django.db.models.signals.post_save, sender=app.Parcel, event='parcel.saved'): what is to be sent is no"
        " JSON: Object of type Parcel is not JSON serializable. Give payload=, a function that returns a dict with"
        " texts, numbers, dates, decimals and UUIDs."
    )
    assert not Parcel.objects.exists()


def test_an_event_that_is_fanned_out_twice_is_sent_once(serve, paid):
    server, _ = serve()
    Parcel.objects.create(code="a")
    Parcel.objects.update(status="paid")
    drain(limit=1)
    Delivery.objects.filter(signal__endswith="event_happened").update(state="READY", finished_at=None)
    drain()
    assert len(server.requests) == 1


# --- the handle ---------------------------------------------------------------------------------------------------


def test_a_declaration_that_is_disconnected_sends_nothing_and_leaves_no_patch(no_kept_error):
    before = patched_methods(), [*post_save.receivers]
    declaration = webhook(post_save, sender=Parcel, event="parcel.saved", payload=code)
    assert (declaration.disconnect(), declaration.disconnect()) == (True, False)
    Parcel.objects.create(code="a")
    Parcel.objects.update(status="paid")
    assert not Delivery.objects.exists()
    assert (patched_methods(), post_save.receivers) == before


def test_what_is_written_while_the_model_is_muted_is_not_sent(paid):
    Parcel.objects.create(code="a")
    with mute(Parcel):
        Parcel.objects.update(status="paid")
    assert not Delivery.objects.exists()


def test_a_trace_shows_the_declaration(paid):
    Parcel.objects.create(code="a")
    with trace() as flow:
        Parcel.objects.update(status="paid")
    assert "webhook(django.db.models.signals.post_save, sender=app.Parcel, event='parcel.paid')" in str(flow)


def test_a_model_may_be_named(serve):
    server, _ = serve()
    declaration = webhook(post_delete, sender="app.Parcel", event="parcel.deleted", payload=code)
    Parcel.objects.create(code="a").delete()
    drain()
    assert len(server.requests) == 1
    assert declaration.text == (
        "webhook(django.db.models.signals.post_delete, sender='app.Parcel', event='parcel.deleted')"
    )


def test_the_events_of_declarations_are_known_while_they_are_connected(paid):
    again = webhook(parcel_lost, event="parcel.paid")
    assert known_events() == ["parcel.paid"]
    again.disconnect()
    assert known_events() == ["parcel.paid"]
    paid.disconnect()
    assert known_events() == []


# --- what is refused ----------------------------------------------------------------------------------------------

REFUSED = {
    "no name of an event": (
        lambda: webhook(parcel_lost, event="parcel lost"),
        "webhook(tests.recipes.test_webhooks.parcel_lost, event='parcel lost'): event= is a name such as"
        " 'order.shipped', of letters, digits and underscores between dots, up to 100 of them.",
    ),
    "a signal before the write": (
        lambda: webhook(pre_save, sender=Parcel, event="a.b", payload=code),
        "webhook(django.db.models.signals.pre_save, sender=app.Parcel, event='a.b'): what a row is after the write is"
        " known at post_save and post_delete. Take one of these, or a signal of your own.",
    ),
    "all models": (
        lambda: webhook(post_save, event="a.b", payload=code),
        "webhook(django.db.models.signals.post_save, event='a.b'): say of which model, by sender=: the rows of this"
        " app itself would be sent too.",
    ),
    "no payload of a row": (
        lambda: webhook(post_save, sender=Parcel, event="a.b"),
        "webhook(django.db.models.signals.post_save, sender=app.Parcel, event='a.b'): say what is sent of a row, by"
        " payload=, a function of the instance.",
    ),
    "no signal": (
        lambda: webhook(Parcel, event="a.b"),
        "webhook(app.Parcel, event='a.b'): webhook() takes a signal, such as one of yours, post_save or post_delete.",
    ),
    "a payload that is no function": (
        lambda: webhook(parcel_lost, event="a.b", payload={"code": "a"}),
        "webhook(tests.recipes.test_webhooks.parcel_lost, event='a.b'): payload= takes a function of what is sent, not"
        " {'code': 'a'}.",
    ),
    "a payload of what is not sent": (
        lambda: webhook(parcel_lost, event="a.b", payload=lambda code, color: None),
        "webhook(tests.recipes.test_webhooks.parcel_lost, event='a.b'): payload= asks for 'color', which is not sent."
        " It sends code, weight.",
    ),
    "an owner of what is not sent": (
        lambda: webhook(parcel_lost, event="a.b", owner=lambda shop: shop),
        "webhook(tests.recipes.test_webhooks.parcel_lost, event='a.b'): owner= asks for 'shop', which is not sent. It"
        " sends code, weight.",
    ),
}


@pytest.mark.parametrize(("declare", "text"), REFUSED.values(), ids=REFUSED)
def test_what_does_not_fit_is_refused_where_it_stands(declare, text):
    with pytest.raises(TypeError) as raised:
        declare()
    assert str(raised.value) == text
    assert declarations == []


def test_without_the_app_a_declaration_says_what_to_do(settings):
    settings.INSTALLED_APPS = [one for one in settings.INSTALLED_APPS if one != "heliograph.recipes.webhooks"]
    with pytest.raises(ImproperlyConfigured) as raised:
        webhook(parcel_lost, event="parcel.lost")
    assert str(raised.value) == (
        "webhook(tests.recipes.test_webhooks.parcel_lost, event='parcel.lost'): there are no tables for endpoints. Add"
        " 'heliograph.recipes.webhooks' and 'heliograph.outbox' to INSTALLED_APPS, and migrate; pip install"
        " 'heliograph[webhooks]'."
    )


@pytest.mark.parametrize("name", ["heliograph.recipes", "heliograph.recipes.webhooks"])
def test_importing_the_recipes_needs_neither_models_nor_what_webhooks_need(name):
    program = (
        f"import sys, {name}; found = ('standardwebhooks', 'urllib3', 'heliograph.recipes.webhooks.models', "
        "'heliograph.recipes.webhooks.declared_events'); "
        "sys.exit(str([one for one in found if one in sys.modules] or 0))"
    )
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert finished.stderr == "0\n"


def test_without_the_package_that_signs_the_app_says_what_to_install(monkeypatch):
    for name in ("heliograph.recipes.webhooks.delivering", "heliograph.recipes.webhooks.signing"):
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "standardwebhooks", None)
    with pytest.raises(ImproperlyConfigured, match=r"pip install 'heliograph\[webhooks\]'"):
        apps.get_app_config("heliograph_webhooks").ready()


# --- the tutorial's form ------------------------------------------------------------------------------------------


@pytest.fixture
def tutorial(receive):
    """Connect the receiver of tutorials, which POSTs inside the save."""

    def connect(url):
        @receive(post_save, sender=Parcel)
        def post(sender, instance, **kwargs):
            urllib3.request("POST", url, json={"code": instance.code}, timeout=LONG, retries=False)

    return connect


def test_control_r14_the_tutorial_sends_what_is_rolled_back(serve, tutorial):
    server, _ = serve()
    tutorial(server.url())
    with transaction.atomic():
        Parcel.objects.create(code="a")
        transaction.set_rollback(True)
    assert not Parcel.objects.exists()
    assert [json.loads(one.body) for one in server.requests] == [{"code": "a"}]


@pytest.mark.django_db(transaction=True)
def test_control_r14_in_the_tutorial_a_slow_endpoint_holds_the_request_up(serve, tutorial):
    server, _ = serve()
    tutorial(server.url())
    may_answer, is_saved = threading.Event(), threading.Event()
    server.answer = answer_when(may_answer)
    thread = threading.Thread(target=lambda: (in_thread(Parcel.objects.create), is_saved.set()))
    thread.start()
    until(lambda: server.requests)
    assert not is_saved.is_set()  # and nothing but the endpoint can change that
    may_answer.set()
    thread.join()
    assert is_saved.is_set()


@pytest.mark.django_db(transaction=True)
def test_r14_with_the_recipe_a_slow_endpoint_holds_no_request_up(serve):
    server, _ = serve()
    server.answer = answer_when(threading.Event())
    webhook(post_save, sender=Parcel, event="parcel.saved", payload=code)
    Parcel.objects.create(code="a")
    assert server.requests == []
