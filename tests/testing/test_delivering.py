"""One receiver is called as a send would call it: its condition is asked, and its arguments are made."""

import pytest
from django.core.exceptions import FieldDoesNotExist
from django.db.models.signals import m2m_changed, post_delete, post_save, pre_save

from heliograph import Batch, BeforeCommit, Durable, Inline, OnCommit, Signal, changed, changes_of, created
from heliograph.signals import m2m_changes, post_update
from heliograph.testing import NotCalledError, batch_of
from tests.app.models import Article, Genre, Writer
from tests.helpers.errors import MishapError
from tests.helpers.messages import exactly

pytestmark = pytest.mark.django_db


@Signal.define
def shipped(sender, *, order, carrier="DHL"):
    """An order has left."""


loose = Signal(name="shop.loose")


def article(**values):
    return Article(pk=7, **values)


def give(**payload):
    """Return what it is called with."""
    return payload


def call(instance, changes, **kwargs):
    return instance, {name: tuple(change) for name, change in changes.items()}


# --- arguments --------------------------------------------------------------------------------------------------


def test_what_is_not_given_is_as_in_an_update(signals, connect):
    connect(post_save, give, sender=Genre)
    genre = Genre(pk=1)

    assert signals.deliver(give, instance=genre) == {
        "signal": post_save,
        "sender": Genre,
        "instance": genre,
        "created": False,
        "update_fields": None,
        "raw": False,
        "using": "default",
    }


def test_an_instance_of_another_database_is_sent_from_there(signals, connect):
    connect(post_save, give, sender=Genre)
    genre = Genre(pk=1)
    genre._state.db = "other"

    assert signals.deliver(give, instance=genre)["using"] == "other"


def test_a_signal_with_a_contract_has_its_defaults(signals, connect):
    connect(shipped, give)

    assert signals.deliver(give, order=1) == {"signal": shipped, "sender": None, "order": 1, "carrier": "DHL"}


def test_a_signal_without_a_contract_has_what_is_given(signals, connect):
    connect(loose, give, sender=Writer)

    assert signals.deliver(give, anything=1) == {"signal": loose, "sender": Writer, "anything": 1}


def test_the_sender_can_be_given(signals, connect):
    connect(loose, give)

    assert signals.deliver(give, sender=Writer)["sender"] is Writer


def test_the_other_receivers_are_not_called(signals, connect, listen):
    received = listen(post_save, sender=Genre)
    connect(post_save, give, sender=Genre)
    signals.deliver(give, instance=Genre(pk=1))

    assert received == []


def test_what_a_receiver_raises_is_raised(signals, connect):
    def fail(**kwargs):
        raise MishapError("no way")

    connect(loose, fail)
    with pytest.raises(MishapError, match="no way"):
        signals.deliver(fail)


def test_a_receiver_that_saves_its_instance_is_not_called_again(signals, receive):
    calls = []

    @receive(post_save, sender=Genre)
    def save(instance, **kwargs):
        calls.append(instance)
        instance.save()

    genre = Genre()
    genre.save_base(raw=True)
    calls.clear()
    signals.deliver(save, instance=genre)

    assert calls == [genre]


def test_a_delivery_is_kept_as_a_call(signals, connect):
    connect(shipped, give)
    signals.deliver(give, order=1)

    signals.assert_called(give, order=1, carrier="DHL")


def test_an_async_receiver_is_awaited(signals, connect):
    async def give_later(**kwargs):
        return 3

    connect(loose, give_later)
    assert signals.deliver(give_later) == 3


async def test_a_delivery_in_async_code(signals, connect):
    connect(shipped, give)

    assert (await signals.adeliver(give, order=1))["order"] == 1


# --- conditions and changes -------------------------------------------------------------------------------------


def test_a_condition_that_does_not_hold_is_an_error_that_names_it(signals, connect):
    connect(post_save, give, sender=Genre, when=created)

    message = f"{__name__}.give is not called: when=created: created is False"
    with pytest.raises(NotCalledError, match=exactly(message)) as caught:
        signals.deliver(give, instance=Genre(pk=1))
    assert caught.value.reason.when is created


def test_the_changes_that_are_given_are_those_of_the_write(signals, connect):
    connect(post_save, call, sender=Article, when=changed("words", was=1))
    instance = article(words=2)

    assert signals.deliver(call, instance=instance, changes={"words": (1, 2)}) == (instance, {"words": (1, 2)})
    with pytest.raises(NotCalledError, match="words"):
        signals.deliver(call, instance=instance, changes={"title": ("old", "")})


def test_a_receiver_may_ask_for_the_changes_itself(signals, connect):
    def ask(instance, **kwargs):
        return changes_of(instance)["words"]

    connect(post_save, ask, sender=Article, when=changed("words"))
    assert signals.deliver(ask, instance=article(words=2), changes={"words": (1, 2)}) == (1, 2)


def test_the_changes_of_a_foreign_key_are_given_as_instances(signals, connect):
    connect(post_save, call, sender=Article, when=changed("author"))
    ada, grace = Writer(pk=1), Writer(pk=2)

    _, found = signals.deliver(call, instance=article(author=grace), changes={"author": (ada, grace)})
    assert found == {"author": (1, 2)}


def test_without_changes_an_instance_has_those_that_are_not_saved(signals, connect):
    connect(post_save, call, sender=Article, when=changed("words"))
    instance = Article.objects.create(words=1)
    instance.words = 2

    assert signals.deliver(call, instance=instance) == (instance, {"words": (1, 2)})


def test_an_instance_with_another_new_value_is_refused(signals, connect):
    connect(post_save, call, sender=Article, when=changed("words"))

    message = "changes= says that words becomes 3, and the instance has 2: set it first."
    with pytest.raises(ValueError, match=exactly(message)):
        signals.deliver(call, instance=article(words=2), changes={"words": (1, 3)})


def test_changes_of_a_field_that_there_is_not_are_refused(signals, connect):
    connect(post_save, give, sender=Article)

    with pytest.raises(FieldDoesNotExist, match="wrods"):
        signals.deliver(give, instance=article(), changes={"wrods": (1, 2)})


@pytest.mark.parametrize(
    ("signal", "values"),
    [
        (post_save, {"instance": Article(), "created": True}),
        (post_delete, {"instance": Article()}),
        (loose, {}),
    ],
)
def test_changes_of_anything_but_an_update_are_refused(signals, connect, signal, values):
    connect(signal, give)

    with pytest.raises(
        TypeError, match=r"changes= is for the update of an instance, which .* with these values is not"
    ):
        signals.deliver(give, changes={"words": (1, 2)}, **values)


def test_a_signal_may_send_changes_of_its_own(signals, connect):
    @Signal.define
    def corrected(sender, *, changes):
        """A text was corrected."""

    connect(corrected, give)
    assert signals.deliver(give, changes=3)["changes"] == 3


def test_a_created_row_has_no_changes(signals, connect):
    connect(post_save, call, sender=Article, when=created | changed("words"))

    assert signals.deliver(call, instance=article(words=2), created=True)[1] == {}


def test_a_deleted_row_has_the_values_of_its_instance(signals, connect):
    connect(post_delete, call, sender=Article, when=changed("words", was=2))

    assert signals.deliver(call, instance=article(words=2))[1]["words"][0] == 2
    with pytest.raises(NotCalledError):
        signals.deliver(call, instance=article(words=3))


def test_a_delivery_leaves_no_write_behind(signals, connect):
    connect(post_save, give, sender=Article, when=changed("words"))
    instance = Article.objects.create(words=2)
    signals.deliver(give, instance=instance, changes={"words": (1, 2)})

    assert changes_of(instance) == {}


# --- policies and batches ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", [OnCommit(), BeforeCommit(), Durable()])
def test_a_receiver_that_is_called_later_is_called_now(signals, connect, policy):
    connect(post_save, call, sender=Article, when=changed("words"), delivery=policy)
    instance = article(words=2)

    assert signals.deliver(call, instance=instance, changes={"words": (1, 2)}) == (instance, {"words": (1, 2)})


@pytest.mark.parametrize("policy", [Inline, OnCommit, BeforeCommit, Durable])
def test_a_batch_of_instances_is_delivered(signals, connect, policy):
    def take(batch, **kwargs):
        return batch.changes("words"), batch.instances

    connect(post_save, take, sender=Article, when=changed("words"), delivery=policy(batch=True))
    one, two = Article(pk=1, words=2), Article(pk=2, words=2)

    batch = batch_of(one, two, changes={"words": (1, 2)})
    assert signals.deliver(take, batch=batch) == ([(1, 1, 2), (2, 1, 2)], [one, two])


def test_one_instance_is_a_batch_of_one(signals, connect):
    def take(batch, **kwargs):
        return batch.pks

    connect(post_save, take, sender=Genre, delivery=OnCommit(batch=True))
    assert signals.deliver(take, instance=Genre(pk=1), created=True) == [1]


def test_a_batch_has_the_rows_for_which_the_condition_holds(signals, connect):
    def take(batch, **kwargs):
        return batch.pks

    connect(post_save, take, sender=Article, when=changed("words", was=1), delivery=OnCommit(batch=True))
    batch = batch_of(Article(pk=1, words=2), changes={"words": (1, 2)})
    other = batch_of(Article(pk=2, words=2), changes={"words": (0, 2)})
    both = type(batch)((*batch.events, *other.events))

    assert signals.deliver(take, batch=both) == [1]


def test_a_batch_of_which_no_row_is_due_is_an_error(signals, connect):
    def take(batch, **kwargs):
        """Never be called."""

    connect(post_save, take, sender=Genre, when=created, delivery=OnCommit(batch=True))
    with pytest.raises(NotCalledError, match=r"when=created holds for no row of the batch$"):
        signals.deliver(take, batch=batch_of(Genre(pk=1)))


def test_a_batch_of_rows_of_several_kinds(signals, connect):
    def take(batch, **kwargs):
        return batch.created, batch.deleted

    for signal in (post_save, post_delete):
        connect(signal, take, sender=Genre, delivery=OnCommit(batch=True))
    new, gone = Genre(pk=1), Genre(pk=2)
    events = (*batch_of(new, kind="created").events, *batch_of(gone, kind="deleted").events)

    assert signals.deliver(take, batch=Batch(events)) == ([new], [gone])


def test_a_batch_can_be_given_to_a_function():
    instance = article(words=2)
    batch = batch_of(instance, changes={"words": (1, 2)})

    assert (batch.updated, batch.changes("words"), batch.values("title")) == (
        [instance],
        [(7, 1, 2)],
        [(7, ("",), ("",))],
    )
    assert batch_of(instance, kind="created").changes("words") == []
    assert batch_of(instance, kind="deleted").deleted == [instance]


@pytest.mark.parametrize("reentrant", ["allow", "skip"])
def test_a_signal_that_sends_a_batch_is_given_one(signals, connect, reentrant):
    def take(batch, update_fields, **kwargs):
        return batch.pks

    connect(post_update, take, sender=Genre, reentrant=reentrant)
    batch = batch_of(Genre(pk=1))
    assert signals.deliver(take, batch=batch, update_fields=["name"]) == [1]


def test_a_kind_that_there_is_not_is_refused():
    with pytest.raises(
        ValueError, match=exactly("batch_of(kind='new'): the rows of a batch are 'created', 'updated' or 'deleted'.")
    ):
        batch_of(Genre(), kind="new")


def test_changes_of_new_rows_are_refused():
    with pytest.raises(
        ValueError, match=exactly("batch_of(changes=...) is for rows that are updated, not for rows that are created.")
    ):
        batch_of(article(words=1), kind="created", changes={"words": (0, 1)})


# --- mistakes ---------------------------------------------------------------------------------------------------


def test_a_name_that_is_not_sent_is_refused(signals, connect):
    connect(post_save, give, sender=Genre)

    message = "post_save does not send 'craeted'. It sends instance, created, update_fields, raw, using."
    with pytest.raises(TypeError, match=exactly(message)):
        signals.deliver(give, signal=post_save, instance=Genre(pk=1), craeted=True)


def test_a_name_that_breaks_the_contract_is_refused(signals, connect):
    connect(shipped, give)

    with pytest.raises(TypeError, match="order"):
        signals.deliver(give, carrier="DHL")


def test_a_value_that_has_no_usual_one_is_asked_for(signals, connect):
    connect(m2m_changed, give, sender=Genre)

    with pytest.raises(
        TypeError, match=r"^m2m_changed sends 'action', 'reverse', 'model', 'pk_set' too: give a value.$"
    ):
        signals.deliver(give, instance=Genre(pk=1))


def test_a_receiver_of_several_signals_needs_to_know_which(signals, connect):
    for signal in (pre_save, post_save):
        connect(signal, give, sender=Genre)

    where = f"{give.__code__.co_filename}:{give.__code__.co_firstlineno}"
    message = (
        f"{__name__}.give ({where}) is connected to post_save from app.Genre, pre_save from app.Genre:"
        " name signal=, and sender= if it has several."
    )
    with pytest.raises(LookupError, match=exactly(message)):
        signals.deliver(give, instance=Genre(pk=1))
    assert signals.deliver(give, signal=pre_save, instance=Genre(pk=1))["signal"] is pre_save


def test_the_signal_of_a_receiver_of_several_may_follow_from_the_values(signals, connect):
    for signal in (post_delete, post_save):
        connect(signal, give, sender=Genre)

    assert signals.deliver(give, instance=Genre(pk=1), created=True)["signal"] is post_save


def test_a_sender_from_which_it_receives_nothing_is_refused(signals, connect):
    connect(post_save, give, sender=Genre)

    with pytest.raises(LookupError, match=r"a send from app.Writer with instance does not reach it: name what one of"):
        signals.deliver(give, instance=Writer(pk=1))


def test_a_subclass_of_its_sender_is_received(signals, connect):
    connect(post_save, give, sender=Genre.__base__, subclasses=True)

    assert signals.deliver(give, instance=Genre(pk=1))["sender"] is Genre


def test_a_receiver_that_is_connected_to_nothing_is_refused(signals):
    with pytest.raises(LookupError, match="is connected to no signal: import the module that connects it"):
        signals.deliver(give)


def test_a_receiver_of_relations_is_given_pairs(signals, connect):
    connect(m2m_changes, give)
    added = frozenset([(1, 2)])

    found = signals.deliver(give, field=None, added=added, removed=frozenset(), raw=False)
    assert found["added"] == added
