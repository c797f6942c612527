"""Isolation: what a test connects and declares ends with it, and what it disconnects is back."""

import gc
import weakref

import pytest
from django.core.signals import setting_changed
from django.db.models.signals import post_save, pre_save

from heliograph import Durable, Signal, changed, created, inspect
from heliograph.testing import isolated
from tests.app.models import Article, Genre

shipped = Signal(name="shop.shipped")


def index(**kwargs):
    """Be called."""


def mail(**kwargs):
    """Be called too."""


def connected(signal):
    return [(one.receiver, one.sender, one.order, dict(one.options)) for one in inspect(signal)]


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
