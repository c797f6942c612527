"""Silence around a test: other receivers are not called."""

import pytest
from django.db.models.signals import post_save
from django.test import override_settings

from heliograph import Signal
from heliograph.testing import only
from tests.app.models import Genre
from tests.helpers.messages import exactly

shipped = Signal(name="shop.shipped")


def index(**kwargs):
    """Be called."""


def mail(**kwargs):
    """Be called too."""


def stay_silent(**kwargs):
    """Not be called."""


# --- only -------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_other_receivers_are_silent(signals, connect):
    for receiver in (index, mail):
        connect(post_save, receiver, sender=Genre)
    with only(index):
        Genre.objects.create()

    signals.assert_called(index, times=1)
    signals.assert_not_called(mail)


@pytest.mark.django_db
def test_only_decorates_functions(signals, connect):
    connect(shipped, index)
    connect(shipped, mail)
    only(mail)(shipped.send)(None)

    signals.assert_not_called(index)


def test_several_receivers_are_called(signals, connect):
    for receiver in (index, mail, stay_silent):
        connect(shipped, receiver)
    with only(index, mail):
        shipped.send(None)

    signals.assert_called(index)
    signals.assert_called(mail)
    signals.assert_not_called(stay_silent)


def test_receivers_of_django_go_on(signals):
    with only(index), override_settings(LANGUAGE_CODE="de"):
        pass

    called = {one.receiver.__module__ for one in signals._kept.of(object) if hasattr(one, "outcome")}
    assert "django.test.signals" in called


def test_k2_other_receivers_are_called_again_after_an_error(signals, connect):
    connect(shipped, mail)
    with pytest.raises(ZeroDivisionError), only(index):
        1 / 0  # noqa: B018
    shipped.send(None)

    signals.assert_called(mail)


@pytest.mark.parametrize("given", [(), (post_save,)])
def test_only_takes_receivers(given):
    message = f"only() takes the receivers that are called, not {given!r}; mute() takes signals."
    with pytest.raises(TypeError, match=exactly(message)):
        only(*given)


def test_only_is_shown_with_its_receivers():
    assert repr(only(index)) == f"only({__name__}.index)"


def test_k2_the_verbs_leave_no_observer_behind():
    from heliograph.dispatch.scopes import everywhere, watch
    from heliograph.testing import Signals

    before = [*everywhere], [*watch]
    with pytest.raises(ZeroDivisionError), Signals():
        1 / 0  # noqa: B018

    assert ([*everywhere], [*watch]) == before
