"""Silence around a test, and connections that end with it."""

import gc
import weakref

import pytest
from django.core.signals import setting_changed
from django.db.models.signals import post_save, pre_save
from django.test import override_settings

from heliograph import Durable, Signal, changed, created, inspect
from heliograph.testing import isolated, only
from tests.app.models import Article, Genre
from tests.helpers.messages import exactly

shipped = Signal(name="shop.shipped")


def index(**kwargs):
    """Be called."""


def mail(**kwargs):
    """Be called too."""


def stay_silent(**kwargs):
    """Not be called."""


def connected(signal):
    return [(one.receiver, one.sender, one.order, dict(one.options)) for one in inspect(signal)]


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


# --- isolated ---------------------------------------------------------------------------------------------------


def test_k2_what_is_connected_in_the_block_is_gone_after_it():
    before = connected(post_save)
    with isolated():
        post_save.connect(index, sender=Genre)
        post_save.connect(mail, sender=Genre, when=created)

    assert connected(post_save) == before


def test_k2_it_is_gone_after_an_error_too():
    with pytest.raises(ZeroDivisionError), isolated():
        _connect_and_fail()

    assert connected(shipped) == []


def _connect_and_fail():
    shipped.connect(index)
    raise ZeroDivisionError


def test_k2_what_is_disconnected_in_the_block_is_back_after_it(connect):
    connect(post_save, mail, sender=Article, order=1)
    connect(post_save, index, sender=Article, when=changed("words"), delivery=Durable(queue="search"))
    before = connected(post_save)
    with isolated():
        post_save.disconnect(index, sender=Article)
        assert connected(post_save) != before

    assert connected(post_save) == before


@pytest.mark.django_db
def test_k2_what_is_back_is_called(signals, connect):
    connect(post_save, index, sender=Article, when=changed("words"))
    with isolated():
        post_save.disconnect(index, sender=Article)
    article = Article.objects.create(words=1)
    article.words = 2
    article.save()

    signals.assert_called(index, times=1)


def test_k2_a_signal_of_the_block_loses_its_receivers():
    with isolated():
        signal = Signal(name="shop.new")
        signal.connect(index)

    assert connected(signal) == []


def test_k2_nothing_is_held_after_the_block():
    with isolated():

        def fleeting(**kwargs): ...

        pre_save.connect(fleeting, sender=Genre, when=created)
        watched = weakref.ref(fleeting)
        del fleeting
    gc.collect()

    assert watched() is None


def test_a_receiver_that_has_died_in_the_block_is_not_back():
    def fleeting(**kwargs): ...

    shipped.connect(fleeting)
    with isolated():
        del fleeting
        shipped.connect(index)

    assert connected(shipped) == []


def test_signals_that_the_block_leaves_alone_keep_their_connections(connect):
    connect(post_save, index, sender=Genre)
    before = post_save._table.connections()
    with isolated():
        shipped.connect(index)

    assert post_save._table.connections() == before


def test_blocks_nest():
    with isolated():
        shipped.connect(index)
        with isolated():
            shipped.connect(mail)
        assert [one.receiver for one in inspect(shipped)] == [index]


def test_isolated_decorates_functions():
    @isolated()
    def act():
        setting_changed.connect(index)

    act()
    assert index not in [one.receiver for one in inspect(setting_changed)]


def test_k2_the_verbs_leave_no_observer_behind():
    from heliograph.dispatch.scopes import everywhere, watch
    from heliograph.testing import Signals

    before = [*everywhere], [*watch]
    with pytest.raises(ZeroDivisionError), Signals():
        1 / 0  # noqa: B018

    assert ([*everywhere], [*watch]) == before
