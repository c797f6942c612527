"""What tests of attempts share: durable receivers that do what a test says, and the log."""

import logging

import pytest

from heliograph import Durable
from tests.helpers.attempts import sent
from tests.helpers.errors import MishapError


@pytest.fixture
def act(receive):
    """Connect a durable receiver that does what a function does: the list has the `delivery` of each call."""

    def connect(action=None, **options):
        calls = []

        @receive(sent, delivery=Durable(**options))
        def note(sender, delivery, **payload):
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
        def note_number(sender, number, **payload):
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
