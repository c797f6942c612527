"""factory_boy mutes signals by assigning their receivers."""

import factory
import pytest
from django.db.models.signals import post_save, pre_save
from factory.django import DjangoModelFactory, mute_signals

from heliograph.dispatch import mute
from tests.app.models import Genre, Writer

pytestmark = pytest.mark.django_db


class WriterFactory(DjangoModelFactory):
    class Meta:
        model = Writer

    name = factory.Sequence(lambda number: f"writer {number}")


@mute_signals(post_save)
class QuietWriterFactory(WriterFactory):
    pass


@mute_signals(post_save)
def create_quietly():
    return Writer.objects.create()


def test_a_receiver_is_not_called_inside_mute_signals(listen):
    received = listen(post_save, sender=Writer)
    with mute_signals(post_save):
        WriterFactory()
    assert received == []


def test_a_receiver_is_called_once_after_mute_signals(listen):
    received = listen(post_save, sender=Writer)
    with mute_signals(post_save):
        pass
    WriterFactory()
    assert len(received) == 1


def test_a_receiver_is_called_after_mute_signals_was_left_by_an_exception(listen):
    received = listen(post_save, sender=Writer)
    with pytest.raises(ZeroDivisionError), mute_signals(post_save):
        1 / 0  # noqa: B018
    WriterFactory()
    assert len(received) == 1


def test_mute_signals_silences_a_receiver_that_has_been_sent_something_before(listen):
    received = listen(post_save, sender=Writer)
    WriterFactory()
    with mute_signals(post_save):
        WriterFactory()
    assert len(received) == 1


def test_mute_signals_leaves_other_signals_alone(listen):
    received = listen(pre_save, sender=Writer)
    with mute_signals(post_save):
        WriterFactory()
    assert len(received) == 1


def test_a_function_under_mute_signals_is_not_received(listen):
    received = listen(post_save, sender=Writer)
    create_quietly()
    assert received == []


def test_a_factory_class_under_mute_signals_is_not_received(listen):
    received = listen(post_save, sender=Writer)
    QuietWriterFactory()
    QuietWriterFactory.create_batch(3)
    assert received == []


def test_a_factory_class_under_mute_signals_leaves_the_receivers_connected(listen):
    received = listen(post_save, sender=Writer)
    QuietWriterFactory()
    WriterFactory()
    assert len(received) == 1


def test_a_receiver_connected_inside_mute_signals_is_called_there(listen):
    with mute_signals(post_save):
        received = listen(post_save, sender=Writer)
        WriterFactory()
    assert len(received) == 1


def test_a_receiver_connected_inside_mute_signals_stays_connected(listen):
    with mute_signals(post_save):
        received = listen(post_save, sender=Writer)
    WriterFactory()
    assert len(received) == 1


def test_mute_signals_nests(listen):
    received = listen(post_save, sender=Writer)
    with mute_signals(post_save):
        with mute_signals(post_save, pre_save):
            WriterFactory()
        WriterFactory()
    WriterFactory()
    assert len(received) == 1


def test_receivers_have_their_order_after_mute_signals(connect):
    called = []
    connect(post_save, lambda **kwargs: called.append("second"), sender=Writer)
    connect(post_save, lambda **kwargs: called.append("first"), sender=Writer, order=-1)
    with mute_signals(post_save):
        pass
    WriterFactory()
    assert called == ["first", "second"]


def test_receivers_have_their_condition_after_mute_signals(listen):
    received = listen(post_save, sender=Writer, when=lambda created, **kwargs: not created)
    with mute_signals(post_save):
        pass
    WriterFactory()
    assert received == []


def test_receivers_receive_subclasses_after_mute_signals(listen):
    received = listen(post_save, sender=Writer.__base__, subclasses=True)
    with mute_signals(post_save):
        pass
    WriterFactory()
    Genre.objects.create()
    assert [call.sender for call in received] == [Writer, Genre]


def test_a_receiver_that_dies_inside_mute_signals_is_gone_afterwards():
    called = []

    def fleeting(**kwargs):
        called.append(kwargs)

    post_save.connect(fleeting, sender=Writer)
    with mute_signals(post_save):
        del fleeting
    WriterFactory()
    assert called == []


def test_our_mute_and_mute_signals_can_be_used_together(listen):
    received = listen(post_save, sender=Writer)
    with mute(post_save), mute_signals(post_save):
        WriterFactory()
    WriterFactory()
    assert len(received) == 1
