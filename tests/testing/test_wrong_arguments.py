"""What a verb cannot mean is refused with the reason, so that no assertion holds by chance."""

from datetime import timedelta

import pytest
from django.db.models.signals import post_save, pre_save

from heliograph import Durable, Signal
from heliograph.testing import batch_of, max_queries, redelivered, rolled_back
from tests.app.models import Genre
from tests.helpers.messages import exactly
from tests.testing.failures import failure

pytestmark = pytest.mark.django_db(databases="__all__")

loose = Signal(name="shop.loose")


def index(**kwargs):
    """Be a receiver."""


def refused(error, message, call, *args, **options):
    with pytest.raises(error, match=exactly(message)):
        call(*args, **options)


# --- receivers ----------------------------------------------------------------------------------------------------


VERBS = {
    "assert_called": lambda signals, outbox, one: signals.assert_called(one),
    "assert_not_called": lambda signals, outbox, one: signals.assert_not_called(one),
    "assert_listening": lambda signals, outbox, one: signals.assert_listening(post_save, one),
    "deliver": lambda signals, outbox, one: signals.deliver(one),
    "perform": lambda signals, outbox, one: outbox.perform(one),
    "enqueued": lambda signals, outbox, one: outbox.enqueued(one),
    "assert_enqueued": lambda signals, outbox, one: outbox.assert_enqueued(one),
    "assert_not_enqueued": lambda signals, outbox, one: outbox.assert_not_enqueued(one),
    "max_queries": lambda signals, outbox, one: max_queries(one, 1),
}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("one", ["shop.index", post_save], ids=repr)
def test_the_name_of_a_receiver_and_a_signal_are_refused(signals, outbox, verb, one):
    named = "deliver() or perform()" if verb in ("deliver", "perform") else f"{verb}()"
    hint = " Import it." if isinstance(one, str) else ""
    message = f"{named} takes the function that is connected, not {one!r}.{hint}"
    refused(TypeError, message, VERBS[verb], signals, outbox, one)


# --- sends --------------------------------------------------------------------------------------------------------


def test_a_name_that_a_signal_never_sends_makes_no_assertion_hold(signals):
    message = "post_save does not send 'instanc'. It sends instance, created, update_fields, raw, using."
    refused(TypeError, message, signals.assert_not_sent, post_save, instanc=1)
    signals.assert_not_sent(loose, whatever=1)


@pytest.mark.parametrize("times", ["1", 1.5, True])
def test_a_number_of_times_is_a_whole_number(signals, times):
    loose.send(None)
    message = f"times= takes a whole number, or None for once at least, not {times!r}."
    refused(TypeError, message, signals.assert_sent, loose, times=times)


def test_no_signals_are_in_no_order(signals):
    message = "assert_sent_in_order() takes signals, in the order in which they are to be sent."
    refused(TypeError, message, signals.assert_sent_in_order)


def test_a_pair_has_a_signal_and_a_sender(signals):
    message = f"assert_sent_in_order() takes signals and pairs of a signal and a sender, not {(loose,)!r}."
    refused(TypeError, message, signals.assert_sent_in_order, (loose,))


def test_a_sender_may_be_the_label_of_a_model_as_in_connect(signals, outbox, connect):
    connect(post_save, index, sender="app.Genre", delivery=Durable())
    Genre.objects.create()

    signals.assert_sent(post_save, sender="app.Genre")
    signals.assert_sent_in_order((pre_save, "app.genre"), (post_save, "app.Genre"))
    signals.assert_listening(post_save, index, sender="app.Genre")
    outbox.assert_enqueued(index, sender="app.Genre")
    outbox.drain()
    signals.assert_called(index, sender="app.Genre")
    signals.assert_not_sent(post_save, sender="app.Writer")
    assert "was sent once from 'app.Genre'" in failure(signals.assert_not_sent, post_save, sender="app.Genre")


# --- one receiver -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("changes", [["name"], {"name": 1}, {"name": ("a", "b", "c")}, {"name": "ab"}, 5], ids=repr)
def test_changes_are_pairs_by_names(signals, connect, changes):
    connect(post_save, index, sender=Genre)
    message = (
        "changes= takes the old and the new value by the name of the field, such as {'status': ('new', 'paid')}, not"
        f" {changes!r}."
    )
    refused(TypeError, message, batch_of, Genre(), changes=changes)
    refused(TypeError, message, signals.deliver, index, instance=Genre(), changes=changes)


@pytest.mark.parametrize("one", [1, Genre, [Genre()]], ids=repr)
def test_a_batch_is_of_instances(one):
    refused(TypeError, f"batch_of() takes instances of models, one by one, not {one!r}.", batch_of, one)


def test_no_receiver_is_given_an_empty_batch():
    refused(TypeError, "batch_of() takes one instance at least: no receiver is given an empty batch.", batch_of)


def test_a_send_that_does_not_reach_the_receiver_is_described(signals, connect):
    connect(post_save, index, sender=Genre)
    described = r"and a send of shop\.loose from app\.Genre with instance does not reach it: name what"
    with pytest.raises(LookupError, match=described):
        signals.deliver(index, signal=loose, instance=Genre())


# --- times and numbers --------------------------------------------------------------------------------------------


def test_times_are_timedeltas(outbox):
    refused(TypeError, "until= takes a timedelta, not 5: write timedelta(seconds=...).", outbox.drain, until=5)
    message = "timeout= takes a timedelta, not 5: write timedelta(seconds=...)."
    refused(TypeError, message, outbox.wait_for_workers, 5)


def test_time_does_not_go_backwards(outbox):
    message = "until= takes a timedelta of nothing or more, not datetime.timedelta(days=-1)."
    refused(ValueError, message, outbox.drain, until=timedelta(-1))


@pytest.mark.parametrize("most", [-1, "5", None, True])
def test_a_budget_is_a_number_of_queries(most):
    message = f"max_queries() takes the number of queries that a call may make, not {most!r}."
    refused(TypeError, message, max_queries, index, most)


# --- proofs -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("proof", [rolled_back, redelivered])
def test_a_proof_takes_a_function_and_not_what_it_has_returned(proof):
    message = f"{proof.__name__}() takes a function, which it calls without arguments, not None: write lambda: ..."
    refused(TypeError, message, proof, None)


def test_a_kind_of_effects_that_there_is_not_allows_nothing():
    kinds = "'sequence', 'mail', 'cache', 'file', 'network', 'process', 'thread', 'database'"
    message = f"allowed= has 'cash', which is neither a receiver nor a kind of effects. Kinds: {kinds}."
    refused(ValueError, message, rolled_back, index, allowed=["cash"])
    message = "allowed= takes a list of receivers and of kinds of effects, not 'cache'."
    refused(TypeError, message, rolled_back, index, allowed="cache")


def test_without_a_database_nothing_is_rolled_back():
    message = "using= takes the alias of a database, or several, and there is none in it."
    refused(ValueError, message, rolled_back, index, using=[])


@pytest.mark.parametrize("label", ["app.Genre", "app.Genre.colour", "app.Nobody.name", "colour"])
def test_a_field_that_there_is_not_cannot_be_ignored(label):
    message = f"ignoring= has {label!r}, and there is no such field: write 'shop.Order.seen_at', or give the model."
    refused(LookupError, message, redelivered, index, ignoring=[label])


def test_what_is_ignored_is_a_list_of_models_fields_and_receivers():
    message = "ignoring= takes a list of models, fields and receivers, not 'app.Genre.name'."
    refused(TypeError, message, redelivered, index, ignoring="app.Genre.name")
    message = "ignoring= has 5, which is no model, no field such as 'shop.Order.seen_at', and no receiver."
    refused(TypeError, message, redelivered, index, ignoring=[5])
    message = "also= takes a function, which it calls without arguments, not 5: write lambda: ..."
    refused(TypeError, message, redelivered, index, also=5)


# --- the text of a failure ----------------------------------------------------------------------------------------


def test_the_instance_of_a_delivery_is_shown_as_itself(outbox, signals, connect):
    connect(post_save, index, sender=Genre, delivery=Durable())
    genre = Genre.objects.create()
    assert f"instance={genre!r}" in failure(outbox.assert_enqueued, index, created=False)
    outbox.drain()

    assert f"instance={genre!r}" in failure(signals.assert_called, index, created=False)
