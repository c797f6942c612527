"""What tests of deliveries share: durable receivers that act or keep what they were given, and the log."""

import logging

import pytest
from django.db import connection
from django.db.models.signals import post_save

from heliograph import Durable
from heliograph.recipes.webhooks import delivering, signals
from tests.app.models import Article
from tests.helpers.attempts import sent
from tests.helpers.emptying import filled_tables
from tests.helpers.errors import MishapError
from tests.helpers.external_workers import receivers


@pytest.fixture(autouse=True)
def _no_webhooks():
    """Leave the receivers of webhooks out: what tests connect is all that a worker knows."""
    connected = [
        (signals.event_happened, delivering.fan_out),
        (signals.message_due, delivering.deliver),
        (signals.retry_due, delivering.deliver_again),
    ]
    for signal, function in connected:
        assert signal.disconnect(function)
    yield
    delivering.connect()


@pytest.fixture
def act(receive):
    """Connect a durable receiver that does what a function does: the list has the `delivery` of each call."""

    def connect(action=None, **options):
        calls = []

        @receive(sent, delivery=Durable(**options))
        def record(sender, delivery, **payload):
            calls.append(delivery)
            return None if action is None else action(delivery=delivery, **payload)

        return calls

    return connect


@pytest.fixture
def numbers(receive):
    """Connect a durable receiver: the list has the numbers that it was called with; it fails for the negative ones."""

    def connect(**options):
        received = []

        @receive(sent, delivery=Durable(**options))
        def record_number(sender, number, **payload):
            received.append(number)
            if number < 0:
                raise MishapError(f"no {number}")

        return received

    return connect


@pytest.fixture
def log(caplog):
    caplog.set_level(logging.INFO, logger="heliograph.outbox")
    return lambda: [
        record for record in caplog.records if record.name == "heliograph.outbox" and record.levelno > logging.DEBUG
    ]


@pytest.fixture
def store(receive):
    """Connect a durable receiver: `received = store(post_save, sender=Article)` is the list of its calls."""

    def connect(signal, policy=None, **options):
        received = []

        @receive(signal, delivery=policy or Durable(), **options)
        def record(signal, sender, **payload):
            received.append(payload)

        return received

    return connect


@pytest.fixture
def batches(receive):
    """Connect a durable receiver of batches: the list has each that it is called with."""

    def connect(signal, policy=None, **options):
        received = []

        @receive(signal, delivery=policy or Durable(batch=True), **options)
        def record_batch(sender, batch, **kwargs):
            received.append(batch)

        return received

    return connect


@pytest.fixture
def changes_for(receive):
    """Connect a durable receiver of the changes of articles: the list has those that it is called with."""

    def connect(when=None, sender=Article, **options):
        received = []

        @receive(post_save, sender=sender, when=when, delivery=Durable(), **options)
        def record(sender, changes, **kwargs):
            received.append(changes)

        return received

    return connect


@pytest.fixture
def calls_of(receive):
    """Connect a durable receiver: `received = calls_of(post_save, sender=Article)` is the list of its calls."""

    def connect(signal, policy=None, **options):
        received = []

        @receive(signal, delivery=policy or Durable(), **options)
        def record(sender, **payload):
            received.append({"sender": sender, **payload})

        return received

    return connect


@pytest.fixture(scope="module")
def shared_database(django_db_setup, django_db_blocker):
    """The database, where readers and writers of several processes do not wait for each other."""
    with django_db_blocker.unblock():
        set_journal("WAL")
        yield
        set_journal("DELETE")


def set_journal(mode):
    if connection.vendor == "sqlite":
        filled_tables("default").close()  # SQLite changes its journal for its only connection
        with connection.cursor() as cursor:
            cursor.execute(f"PRAGMA journal_mode={mode}")
    connection.close()


@pytest.fixture
def external_receivers(connect):
    """Connect the receivers of the project as its sender does."""
    for signal, function, policy in receivers.IN_SENDERS:
        connect(signal, function, delivery=policy)
