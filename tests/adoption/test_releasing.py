"""Release: signals are given back to Django's dispatcher."""

from textwrap import dedent

import pytest

from tests.adoption.scripts import PHOTOGRAPH, RECEIVERS
from tests.helpers.bare import run

# --- without adoption -----------------------------------------------------------------------------------------


LEFT_ALONE = {"HELIOGRAPH": {"ADOPT_DJANGO_SIGNALS": False}}

# --- releasing ------------------------------------------------------------------------------------------------


WRAPPED = """
import functools
seen = []
djangos = Signal._live_receivers
def wrapped(self, sender):
    sync, later = djangos(self, sender)
    def seeing(receiver):
        @functools.wraps(receiver)
        def seen_receiver(**kwargs):
            seen.append(receiver.__name__)
            return receiver(**kwargs)
        return seen_receiver
    return [seeing(one) for one in sync], later
Signal._live_receivers = wrapped
"""


@pytest.mark.parametrize("foreign", ["", WRAPPED], ids=["Django alone", "with a wrapper from before"])
class TestReleasing:
    def test_d12_leaves_no_patch_behind(self, foreign):
        early = PHOTOGRAPH + foreign + "\nbefore = photograph()"
        script = """
            from heliograph.adoption import release
            release()
            after = photograph()
            report(sorted(name for (_, name) in after.keys() ^ before.keys()))
            report(sorted(key[1] for key in before if after.get(key) is not before[key]))
        """
        assert run(script, early=early) == [[], []]

    def test_d12_leaves_the_code_of_djangos_functions(self, foreign):
        early = PHOTOGRAPH + "\nfunctions = dict(vars(Signal))\nbefore = codes()\n" + foreign
        script = """
            from heliograph.adoption import release
            release()
            report([name for name, code in before.items() if functions[name].__code__ is not code])
        """
        assert run(script, early=early) == [[]]

    def test_leaves_receivers_connected(self, foreign):
        script = """
            from heliograph.adoption import release
            post_save.connect(first, sender=Order)
            release()
            report(sent(post_save), sent(post_save, Bakery))
        """
        assert run(RECEIVERS + dedent(script), early=PHOTOGRAPH + foreign) == [["first"], []]

    def test_leaves_receivers_in_the_order_in_which_they_were_called(self, foreign):
        script = """
            from heliograph.adoption import release
            post_save.connect(second, sender=Order)
            post_save.connect(first, sender=Order, order=-1)
            release()
            report(sent(post_save))
        """
        assert run(RECEIVERS + dedent(script), early=PHOTOGRAPH + foreign) == [["first", "second"]]

    def test_can_be_followed_by_adopting_again(self, foreign):
        script = """
            from heliograph.adoption import adopt, release
            post_save.connect(second, sender=Order)
            release()
            adopt()
            post_save.connect(first, sender=Order, order=-1)
            report(sent(post_save))
        """
        assert run(RECEIVERS + dedent(script), early=PHOTOGRAPH + foreign) == [["first", "second"]]

    def test_can_be_repeated(self, foreign):
        early = PHOTOGRAPH + foreign + "\nbefore = photograph()"
        script = """
            from heliograph.adoption import adopt, release
            post_save.connect(second, sender=Order)
            for _ in range(3):
                release()
                adopt()
            release()
            report(photograph() == before, sent(post_save))
        """
        assert run(RECEIVERS + dedent(script), early=early) == [True, ["second"]]


def released(script):
    """Run a script after which Django runs its signals again, and return what it reports."""
    return run(RECEIVERS + "\nfrom heliograph.adoption import adopt, release\n" + dedent(script), early=PHOTOGRAPH)


def test_a_released_process_is_not_adopted():
    assert released("from heliograph.adoption import is_adopted; release(); report(is_adopted())") == [False]


def test_releasing_what_was_not_adopted_is_harmless():
    script = """
        from heliograph.adoption import release
        before = photograph()
        release()
        report(photograph() == before)
    """
    assert run(dedent(script), early=PHOTOGRAPH, **LEFT_ALONE) == [True]


def test_a_signal_that_was_never_connected_works_after_release():
    assert released("signal = Signal(); release(); signal.connect(first); report(sent(signal))") == [["first"]]


def test_a_signal_that_was_never_connected_can_be_sent_after_release():
    assert released("signal = Signal(); release(); report(sent(signal))") == [[]]


def test_a_signal_of_a_subclass_works_after_release():
    script = """
        class Mine(Signal):
            pass
        signal = Mine()
        signal.connect(first)
        release()
        report(sent(signal))
    """
    assert released(script) == [["first"]]


def test_a_signal_that_was_sent_before_is_sent_by_django_after_release():
    script = """
        signal = Signal()
        signal.connect(first)
        sent(signal, price=1)
        release()
        report(sent(signal, price=1), vars(signal).get("send"))
    """
    assert released(script) == [["first"], None]


def test_a_released_signal_has_the_attributes_that_django_gives_it():
    script = """
        signal = Signal()
        signal.connect(first)
        sent(signal)
        release()
        report(vars(signal).keys() == vars(Signal()).keys())
    """
    assert released(script) == [True]


def test_a_strong_receiver_lives_on_after_release():
    script = """
        import gc
        signal = Signal()
        signal.connect(lambda **kwargs: called.append("lambda"), weak=False)
        release()
        gc.collect()
        report(sent(signal))
    """
    assert released(script) == [["lambda"]]


def test_a_weak_receiver_dies_after_release():
    script = """
        import gc
        signal = Signal()
        signal.connect(first)
        release()
        del first
        gc.collect()
        report(sent(signal))
    """
    assert released(script) == [[]]


def test_a_weak_receiver_with_a_condition_dies_after_release():
    script = """
        import gc
        signal = Signal()
        signal.connect(first, when=lambda **kwargs: True)
        release()
        del first
        gc.collect()
        report(sent(signal))
    """
    assert released(script) == [[]]


def test_a_condition_is_asked_after_release():
    script = """
        signal = Signal()
        signal.connect(first, when=lambda price, **kwargs: price > 3)
        release()
        report(sent(signal, price=1), sent(signal, price=5))
    """
    assert released(script) == [[], ["first"]]


def test_a_receiver_can_be_disconnected_after_release():
    script = """
        signal = Signal()
        signal.connect(first, sender=Order)
        release()
        report(signal.disconnect(first, sender=Order), sent(signal))
    """
    assert released(script) == [True, []]


def test_a_receiver_with_a_condition_can_be_disconnected_after_release():
    script = """
        signal = Signal()
        signal.connect(first, sender=Order, when=lambda **kwargs: True)
        release()
        report(signal.disconnect(first, sender=Order), sent(signal))
    """
    assert released(script) == [True, []]


def test_a_dispatch_uid_is_kept_after_release():
    script = """
        signal = Signal()
        signal.connect(first, sender=Order, dispatch_uid="mine")
        release()
        report(signal.disconnect(sender=Order, dispatch_uid="mine"), sent(signal))
    """
    assert released(script) == [True, []]


def test_a_receiver_of_a_value_receives_only_that_after_release():
    script = """
        signal = Signal()
        value = "a value"
        signal.connect(first, sender=value)
        release()
        report(sent(signal, value), sent(signal, Order))
    """
    assert released(script) == [["first"], []]


def test_an_appended_row_receives_only_its_sender_after_release():
    script = """
        import weakref
        signal = Signal()
        signal.receivers.append(((id(first), id(Order)), weakref.ref(first), False))
        release()
        report(sent(signal), sent(signal, Bakery))
    """
    assert released(script) == [["first"], []]


def test_an_async_receiver_is_awaited_after_release():
    script = """
        signal = Signal()
        async def later(**kwargs):
            called.append("later")
        signal.connect(later)
        release()
        report(sent(signal))
    """
    assert released(script) == [["later"]]


def test_a_receiver_that_waits_for_its_model_is_connected_after_release():
    script = """
        from django.db import models
        post_save.connect(first, sender="heliograph.Later")
        release()
        class Later(models.Model):
            class Meta:
                app_label = "heliograph"
        report(sent(post_save, Later))
    """
    assert released(script) == [["first"]]


def test_an_app_can_be_without_heliograph_and_still_import_it():
    assert released("release(); import heliograph; report(heliograph.Signal is not Signal)") == [True]
