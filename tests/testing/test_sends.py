"""What was sent: what the assertions return, and what they list when they fail."""

import threading

import pytest
from django.db.models.signals import post_init, post_save

from heliograph import Signal
from heliograph.signals import post_update
from heliograph.testing import Signals, mute
from heliograph.testing.matching import MOST_LINES
from tests.app.models import Genre, Writer
from tests.helpers.messages import exactly
from tests.testing.failures import failure

pytestmark = pytest.mark.django_db

packed = Signal(name="shop.packed")
shipped = Signal(name="shop.shipped")


class Incomparable:
    """A value such as an array, whose comparison is no answer."""

    def __eq__(self, other):
        raise ValueError("more than one element")

    __hash__ = None

    def __repr__(self):
        raise ValueError("no text")


# --- assert_sent ------------------------------------------------------------------------------------------------


def test_a_send_is_returned(signals):
    shipped.send(Writer, carrier="DHL", boxes=2)

    assert signals.assert_sent(shipped, carrier="DHL").kwargs["boxes"] == 2


def test_a_send_to_muted_receivers_was_sent(signals):
    with mute(post_save):
        genre = Genre.objects.create()

    signals.assert_sent(post_save, sender=Genre, instance=genre, created=True)


def test_a_send_of_another_thread_was_sent(signals):
    thread = threading.Thread(target=shipped.send, args=[Writer])
    thread.start()
    thread.join()

    signals.assert_sent(shipped, sender=Writer)


def test_the_sends_with_the_fewest_differences_are_listed_first(signals):
    shipped.send(Genre, carrier="UPS", boxes=3)
    shipped.send(Writer, carrier="UPS", boxes=2)

    assert failure(signals.assert_sent, shipped, sender=Writer, carrier="DHL", boxes=2) == (
        "shop.shipped was not sent from app.Writer with carrier='DHL', boxes=2.\n"
        "It was sent, the nearest first:\n"
        "  shop.shipped from app.Writer: carrier='UPS', boxes=2 (carrier is 'UPS')\n"
        "  shop.shipped from app.Genre: carrier='UPS', boxes=3 (carrier is 'UPS'; boxes is 3; it is from app.Genre)"
    )


def test_a_name_that_was_not_sent_is_said_to_be_missing(signals):
    shipped.send(Writer, boxes=2)

    assert "boxes=2 (there is no carrier)" in failure(signals.assert_sent, shipped, carrier="DHL")


def test_other_signals_are_listed_where_the_signal_was_not_sent(signals):
    packed.send(Writer, boxes=2)

    assert failure(signals.assert_sent, shipped) == (
        "shop.shipped was not sent.\nThese were sent, the nearest first:\n  shop.packed from app.Writer: boxes=2"
    )


def test_no_signal_is_listed_where_none_was_sent(signals):
    assert failure(signals.assert_sent, shipped) == "shop.shipped was not sent.\nNo signal was sent."


def test_a_signal_of_bulk_writes_that_nobody_receives_has_a_hint(signals):
    Genre.objects.update(name="x")

    assert (
        "It is sent only where somebody receives it: open capture() of this signal around the write."
        in failure(signals.assert_sent, post_update).splitlines()
    )


def test_a_long_list_ends_with_how_many_more_there_are(signals):
    for number in range(MOST_LINES + 2):
        shipped.send(Writer, number=number)

    assert failure(signals.assert_sent, shipped, number=-1).splitlines()[-1] == "  and 2 more"


def test_a_value_without_equality_and_text_is_listed(signals):
    shipped.send(Writer, value=Incomparable())

    assert "value=<Incomparable whose repr() raises ValueError>" in failure(signals.assert_sent, shipped, value=1)


def test_a_value_without_equality_is_itself(signals):
    value = Incomparable()
    shipped.send(Writer, value=value)

    signals.assert_sent(shipped, value=value)


def test_an_assertion_that_holds_asks_no_value_for_its_text(signals):
    asked = []

    class Order:
        def __repr__(self):
            asked.append(self)  # as a model may, whose text needs a related row
            return "order"

    shipped.send(Writer, order=Order(), carrier="DHL")
    signals.assert_sent(shipped, carrier="DHL")

    assert asked == []


def test_a_long_value_is_shortened(signals):
    shipped.send(Writer, text="x" * 1000)

    assert failure(signals.assert_sent, shipped, text="y").endswith("...)")


def test_the_number_of_sends_is_compared(signals):
    shipped.send(Writer)
    shipped.send(Writer)

    signals.assert_sent(shipped, times=2)
    assert failure(signals.assert_sent, shipped, times=1).startswith("shop.shipped was sent 2 times, not once.")


def test_times_that_are_none_are_refused(signals):
    message = "times=0 asserts that nothing happens: take the assertion with `not` in its name."
    with pytest.raises(ValueError, match=exactly(message)):
        signals.assert_sent(shipped, times=0)


def test_a_receiver_in_place_of_a_signal_is_refused(signals):
    with pytest.raises(TypeError, match=r"^An assertion about sends takes a signal that Heliograph runs, not"):
        signals.assert_sent(len)


# --- assert_not_sent --------------------------------------------------------------------------------------------


def test_a_signal_that_was_not_sent_so_is_asserted(signals):
    shipped.send(Writer, carrier="UPS")

    signals.assert_not_sent(shipped, carrier="DHL")
    signals.assert_not_sent(shipped, sender=Genre)


def test_the_sends_that_were_not_to_be_are_listed(signals):
    shipped.send(Writer, carrier="DHL")

    assert failure(signals.assert_not_sent, shipped, carrier="DHL") == (
        "shop.shipped was sent once with carrier='DHL':\n  shop.shipped from app.Writer: carrier='DHL'"
    )


# --- assert_sent_in_order ---------------------------------------------------------------------------------------


def test_an_order_with_others_in_between_is_asserted(signals):
    packed.send(Writer)
    packed.send(Genre)
    shipped.send(Writer)

    signals.assert_sent_in_order(packed, (packed, Genre), shipped)


def test_the_sends_are_listed_in_their_order(signals):
    shipped.send(Writer, boxes=1)
    post_save.send(Writer)
    packed.send(Writer, boxes=2)

    assert failure(signals.assert_sent_in_order, packed, (shipped, Writer)) == (
        "shop.shipped from app.Writer was not sent after shop.packed.\n"
        "Sent, in this order:\n"
        "  shop.shipped from app.Writer: boxes=1\n"
        "  shop.packed from app.Writer: boxes=2"
    )


# --- what is kept -----------------------------------------------------------------------------------------------


def test_nothing_is_kept_before_and_after():
    signals = Signals()
    shipped.send(Writer)
    with signals:
        packed.send(Writer)
    shipped.send(Writer)

    signals.assert_sent(packed)
    signals.assert_not_sent(shipped)


def test_instances_that_are_made_are_not_kept_unless_somebody_receives_them(signals, listen):
    Genre()
    signals.assert_not_sent(post_init)

    listen(post_init, sender=Genre)
    Genre()
    signals.assert_sent(post_init, sender=Genre)
