"""That a receiver is connected, with its options."""

import pytest
from django.db.models.signals import post_save

from heliograph import Durable, Signal, created
from tests.app.models import Genre, Writer
from tests.helpers.messages import exactly
from tests.testing.failures import failure

shipped = Signal(name="shop.shipped")
NAME = f"{__name__}.index"


def index(**kwargs):
    """Be connected."""


def mail(**kwargs):
    """Be connected too."""


def test_a_connection_is_returned(signals, connect):
    connect(post_save, index, sender=Genre, when=created, delivery=Durable(queue="search"), order=2)

    found = signals.assert_listening(post_save, index, sender=Genre, delivery=Durable(queue="search"), when=created)
    assert found.order == 2


def test_a_position_is_an_option(signals, connect):
    connect(shipped, index, order=2, dispatch_uid="x")

    signals.assert_listening(shipped, index, order=2, dispatch_uid="x", subclasses=False)


def test_how_it_is_connected_instead_is_listed(signals, connect):
    connect(post_save, index, sender=Genre, order=2, when=created)

    assert failure(
        signals.assert_listening, post_save, index, sender=Writer, order=1, when=~created, delivery=Durable()
    ).splitlines() == [
        f"{NAME} is not connected to post_save from app.Writer with order=1, when=~created, delivery=Durable().",
        "It is connected so:",
        "  its sender is app.Genre; order is 2; when is created; there is no delivery",
    ]


def test_a_connection_to_every_sender_is_none_to_a_single_one(signals, connect):
    connect(shipped, index)

    assert "its sender is every one" in failure(signals.assert_listening, shipped, index, sender=Writer)


def test_who_is_connected_instead_is_listed(signals, connect):
    connect(shipped, mail)

    assert failure(signals.assert_listening, shipped, index).splitlines() == [
        f"{NAME} is not connected to shop.shipped.",
        "These are:",
        f"  {__name__}.mail",
    ]


def test_a_signal_without_receivers_is_said_to_have_none(signals):
    assert failure(signals.assert_listening, shipped, index).splitlines()[1:] == [
        "No receiver is connected to this signal."
    ]


def test_a_receiver_in_place_of_the_signal_is_refused(signals):
    message = f"assert_listening() takes a signal that Heliograph runs, and a receiver, not {index!r}."
    with pytest.raises(TypeError, match=exactly(message)):
        signals.assert_listening(index, shipped)
