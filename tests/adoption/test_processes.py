"""Signals that leave the process: in pickles, in children that are forked, and in those that start afresh."""

import copy
import multiprocessing
import os
import pickle
from types import MethodType

import pytest
from django.db.models.signals import post_save
from django.dispatch import Signal

from tests.app.models import Writer
from tests.helpers import children
from tests.helpers.bare import run

published = Signal()


class Magazine:
    """Something that holds a signal."""

    opened = Signal()

    def __init__(self):
        self.published = published


def record(*args, **kwargs):
    """A receiver."""


def test_a_signal_is_itself_after_a_pickle():
    assert pickle.loads(pickle.dumps(post_save)) is post_save


def test_a_signal_of_a_module_is_itself_after_a_pickle():
    assert pickle.loads(pickle.dumps(published)) is published


def test_a_signal_of_a_class_is_itself_after_a_pickle():
    assert pickle.loads(pickle.dumps(Magazine.opened)) is Magazine.opened


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_an_object_with_a_signal_can_be_pickled(protocol):
    assert pickle.loads(pickle.dumps(Magazine(), protocol)).published is published


def test_an_object_with_a_signal_can_be_copied_deeply():
    assert copy.deepcopy(Magazine()).published is published


def test_a_signal_without_a_name_is_refused_by_pickle():
    with pytest.raises(TypeError, match=r"^<Signal unnamed signal> cannot be pickled: it is not a variable"):
        pickle.dumps(Signal())


def test_the_receivers_of_a_signal_are_pickled_as_a_plain_list():
    signal = Signal()
    assert type(pickle.loads(pickle.dumps(signal.receivers))) is list


def test_the_receivers_of_a_signal_are_copied_as_a_plain_list():
    signal = Signal()
    signal.connect(record)
    copied = copy.copy(signal.receivers)
    copied.clear()
    assert len(signal.send(sender=None)) == 1


def test_a_model_instance_can_be_pickled_while_it_has_receivers(listen):
    listen(post_save, sender=Writer)
    assert pickle.loads(pickle.dumps(Writer(name="Ada"))).name == "Ada"


def test_a_receiver_that_is_a_method_of_an_instance_does_not_keep_it_from_being_copied():
    writer = Writer(name="Ada")
    writer.record = MethodType(record, writer)
    post_save.connect(writer.record, sender=Writer)
    assert copy.deepcopy(writer).name == "Ada"


def test_a_pickle_is_loaded_in_a_process_that_has_not_imported_the_module_of_the_signal():
    script = f"""
        import pickle
        signal = pickle.loads({pickle.dumps(published)!r})
        report(repr(signal))
    """
    settings = {"INSTALLED_APPS": ["django.contrib.contenttypes", "django.contrib.auth", "heliograph", "tests.app"]}
    assert run(script, fresh=True, **settings) == [f"<Signal {__name__}.published>"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="This system has no fork")
def test_receivers_are_called_in_a_child_that_was_forked():
    script = """
        import os
        from django.dispatch import Signal
        signal = Signal()
        def record(**kwargs): return "received"
        signal.connect(record)
        reader, writer = os.pipe()
        if os.fork() == 0:
            os.write(writer, repr([response for _, response in signal.send(sender=None)]).encode())
            os._exit(0)
        os.wait()
        report(os.read(reader, 100).decode())
    """
    assert run(script) == ["['received']"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="This system has no fork")
def test_a_child_can_connect_that_was_forked_while_another_thread_was_connecting():
    script = """
        import os, signal as alarms, threading, warnings
        from django.dispatch import Signal
        warnings.simplefilter("ignore")
        entered, left = threading.Event(), threading.Event()

        class Slow:
            __slots__ = ()
            def __hash__(self):
                entered.set()
                left.wait()
                return 1

        def record(**kwargs): pass

        busy, other, sender = Signal(), Signal(), Slow()
        thread = threading.Thread(target=busy.connect, args=(record, sender))
        thread.start()
        entered.wait()
        child = os.fork()
        if child == 0:
            alarms.alarm(5)
            other.connect(record)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        left.set()
        thread.join()
        report(status)
    """
    assert run(script) == [0]


def test_a_signal_can_be_passed_to_a_process_that_starts_afresh():
    context = multiprocessing.get_context("spawn")
    reader, writer = context.Pipe(duplex=False)
    child = context.Process(target=children.send, args=(children.published, writer))
    child.start()
    child.join()
    with reader, writer:
        assert reader.poll()
        assert reader.recv() == (["record"], f"<Signal {children.__name__}.published>")
