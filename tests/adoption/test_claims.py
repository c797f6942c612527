"""What docs/signals.md promises that a receiver may rely on, checked on real behaviour."""

import sys
import threading

import django
import pytest
from django.apps import apps
from django.contrib.auth import authenticate, login, logout
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.core import serializers
from django.core.management import call_command
from django.db import connection, connections, models, transaction
from django.db.migrations.state import ModelState, ProjectState
from django.http import HttpRequest
from django.template import engines
from django.test import override_settings
from django.test.utils import isolate_apps, modify_settings

from heliograph.signals import (
    class_prepared,
    connection_created,
    got_request_exception,
    m2m_changed,
    post_delete,
    post_init,
    post_migrate,
    post_save,
    pre_delete,
    pre_init,
    pre_migrate,
    pre_save,
    request_finished,
    request_started,
    setting_changed,
    template_rendered,
    user_logged_in,
    user_logged_out,
    user_login_failed,
)
from tests.app import models as app
from tests.app.models import Audiobook, Genre, Novel, Page, Reading, Reprint, Review, Writer
from tests.helpers.bare import run

HAS_TASKS = django.VERSION >= (6, 0)
SAVES_AND_DELETES = (pre_save, post_save, pre_delete, post_delete)


class RefusedError(Exception):
    """What a receiver raises."""


def refuse(**kwargs):
    raise RefusedError


@pytest.fixture
def transactions(connect):
    """Connect a receiver for the time of a test, and return the list of whether a transaction was open at each call."""

    def watch(signal, **options):
        opened = []

        def record(**kwargs):
            opened.append(connection.in_atomic_block)

        connect(signal, record, **options)
        return opened

    return watch


@pytest.fixture
def atomic_requests(monkeypatch, views):
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", True)


def related_by(received):
    """Return action and primary keys of each call of a receiver of m2m_changed."""
    return [(payload["action"], payload["pk_set"]) for _, payload in received]


# --- what holds for all of them -----------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_receiver_runs_in_the_thread_that_saves(connect):
    threads = []
    connect(post_save, lambda **kwargs: threads.append(threading.current_thread()), sender=Writer)
    Writer.objects.create()
    assert threads == [threading.current_thread()]


@pytest.mark.django_db
def test_what_a_receiver_raises_is_raised_by_save(connect):
    connect(post_save, refuse, sender=Writer)
    with pytest.raises(RefusedError):
        Writer.objects.create()


@pytest.mark.django_db
def test_receivers_behind_one_that_raises_are_not_called(connect, listen):
    connect(post_save, refuse, sender=Writer)
    received = listen(post_save, sender=Writer)
    with pytest.raises(RefusedError):
        Writer.objects.create()
    assert received == []


@pytest.mark.django_db
def test_one_receiver_of_two_signals_is_not_called_for_the_instance_it_is_handling(receive):
    called = []

    @receive([post_save, m2m_changed])
    def relate(signal, instance, **kwargs):
        called.append(signal)
        instance.genres.add(Genre.objects.bulk_create([Genre()])[0].pk)

    Novel.objects.create()
    assert called == [post_save]


@pytest.mark.django_db
def test_a_receiver_that_allows_it_is_called_for_the_instance_it_is_handling(receive):
    called = []

    @receive([post_save, m2m_changed], reentrant="allow")
    def relate(signal, instance, **kwargs):
        called.append(signal)
        if signal is post_save:
            instance.genres.add(Genre.objects.bulk_create([Genre()])[0].pk)

    Novel.objects.create()
    assert called == [post_save, m2m_changed, m2m_changed]


@pytest.mark.django_db
@pytest.mark.parametrize("signal", [pre_save, post_save])
def test_the_sender_of_a_proxy_is_the_proxy(listen, signal):
    received = listen(signal)
    Reprint.objects.create()
    assert [sender for sender, _ in received] == [Reprint]


@pytest.mark.django_db
@pytest.mark.parametrize("signal", [pre_save, post_save])
def test_the_sender_of_a_child_is_the_child_alone(listen, signal):
    received = listen(signal)
    Audiobook.objects.create()
    assert [sender for sender, _ in received] == [Audiobook]


@pytest.mark.django_db
def test_the_rows_of_a_child_that_is_deleted_are_sent_one_by_one(listen):
    audiobook = Audiobook.objects.create()
    received = listen(post_delete)
    audiobook.delete()
    assert [sender for sender, _ in received] == [Audiobook, Novel]


@pytest.mark.django_db
@pytest.mark.parametrize("model", [Novel, Reprint, Audiobook])
def test_a_receiver_of_a_parent_with_subclasses_receives_each_once(listen, model):
    received = listen(post_save, sender=Novel, subclasses=True)
    model.objects.create()
    assert [sender for sender, _ in received] == [model]


# --- transactions -------------------------------------------------------------------------------------------------


class TestInAutocommit:
    """Outside of any atomic()."""

    pytestmark = pytest.mark.django_db(transaction=True)

    @pytest.mark.parametrize("signal", [pre_save, post_save])
    @pytest.mark.parametrize("model", [Writer, Audiobook])
    def test_a_save_is_sent_outside_of_a_transaction(self, transactions, signal, model):
        opened = transactions(signal)
        model.objects.create()
        assert opened == [False]

    @pytest.mark.parametrize("signal", [pre_delete, post_delete])
    def test_a_delete_is_sent_inside_of_a_transaction(self, transactions, signal):
        writer = Writer.objects.create()
        opened = transactions(signal)
        writer.delete()
        assert opened == [True]

    @pytest.mark.parametrize("change", ["add", "remove", "set", "clear"])
    def test_a_change_of_a_relation_is_sent_inside_of_a_transaction(self, transactions, change):
        novel, genre, other = Novel.objects.create(), Genre.objects.create(), Genre.objects.create()
        novel.genres.add(other)
        opened = transactions(m2m_changed)
        getattr(novel.genres, change)(*{"add": [genre], "remove": [other], "set": [[genre]], "clear": []}[change])
        assert set(opened) == {True}

    def test_the_row_stays_if_a_receiver_of_post_save_raises(self, connect):
        connect(post_save, refuse, sender=Writer)
        with pytest.raises(RefusedError):
            Writer.objects.create()
        assert Writer.objects.count() == 1

    def test_nothing_is_written_if_a_receiver_of_pre_save_raises(self, connect):
        connect(pre_save, refuse, sender=Writer)
        with pytest.raises(RefusedError):
            Writer.objects.create()
        assert Writer.objects.count() == 0

    @pytest.mark.parametrize("signal", [pre_delete, post_delete])
    def test_the_rows_stay_if_a_receiver_of_a_delete_raises(self, connect, signal):
        writer = Writer.objects.create()
        Novel.objects.create(writer=writer)
        connect(signal, refuse, sender=Writer)
        with pytest.raises(RefusedError):
            writer.delete()
        assert (Writer.objects.count(), Novel.objects.count()) == (1, 1)

    def test_a_relation_is_not_changed_if_a_receiver_raises(self, connect):
        novel, genre = Novel.objects.create(), Genre.objects.create()
        connect(m2m_changed, lambda action, **kwargs: refuse() if action == "post_add" else None)
        with pytest.raises(RefusedError):
            novel.genres.add(genre)
        assert novel.genres.count() == 0

    def test_another_connection_sees_the_row_in_post_save(self, connect):
        counted = []

        def count_elsewhere(**kwargs):
            def count():
                counted.append(Writer.objects.count())
                connection.close()

            thread = threading.Thread(target=count)
            thread.start()
            thread.join()

        connect(post_save, count_elsewhere, sender=Writer)
        Writer.objects.create()
        assert counted == [1]

    @pytest.mark.parametrize("signal", [pre_migrate, post_migrate])
    def test_migrations_are_sent_outside_of_a_transaction(self, transactions, signal):
        opened = transactions(signal)
        call_command("migrate", verbosity=0, interactive=False)
        assert set(opened) == {False}

    def test_requests_begin_and_end_outside_of_a_transaction(self, transactions, client, atomic_requests):
        opened = transactions(request_started), transactions(request_finished)
        response = client.get("/in-transaction/")
        assert (response.content, opened) == (b"True", ([False], [False]))

    def test_the_transaction_of_a_request_is_rolled_back_when_got_request_exception_is_sent(
        self, connect, client, atomic_requests
    ):
        counted = []
        connect(got_request_exception, lambda **kwargs: counted.append(Writer.objects.count()))
        client.raise_request_exception = False
        client.get("/write-and-fail/")
        assert counted == [0]

    def test_connection_created_is_sent_outside_of_a_transaction_by_a_connection_that_works(self, connect):
        found = []

        def query(connection, **kwargs):
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")
                found.append((connection.in_atomic_block, cursor.fetchone()))

        connect(connection_created, query)
        connection.close()
        with transaction.atomic():
            Writer.objects.exists()
        assert found == [(False, (1,))]


@transaction.atomic
def write_and_delete(writer):
    Novel.objects.create()
    Writer().save()
    writer.delete()


@transaction.atomic
def write_and_refuse():
    Writer.objects.create()
    raise RefusedError


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("signal", [pre_save, post_save, pre_delete, post_delete])
def test_everything_is_rolled_back_if_a_receiver_raises_inside_of_atomic(connect, signal):
    other = Writer.objects.create()
    connect(signal, refuse, sender=Writer)
    with pytest.raises(RefusedError):
        write_and_delete(other)
    assert (Writer.objects.count(), Novel.objects.count()) == (1, 0)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("signal", [pre_save, post_save])
def test_what_a_receiver_writes_is_rolled_back_with_the_block(connect, signal):
    connect(signal, lambda **kwargs: Genre.objects.create(), sender=Writer)
    with pytest.raises(RefusedError):
        write_and_refuse()
    assert Genre.objects.count() == 0


# --- what is not sent ---------------------------------------------------------------------------------------------


@pytest.fixture
def saved_and_deleted(listen):
    """Connect a receiver to all saves and deletes, and return its calls."""

    def watch(*signals):
        return {signal: listen(signal) for signal in signals or SAVES_AND_DELETES}

    return watch


def sent(received):
    """Return name of signal and of sender for each call."""
    return sorted(
        (signal.name.rpartition(".")[2], sender.__name__) for signal in received for sender, _ in received[signal]
    )


def bulk_create():
    Writer.objects.bulk_create([Writer(), Writer()])


def bulk_update():
    Writer.objects.bulk_update(Writer.objects.all(), ["name"])


def update():
    Writer.objects.update(name="Ada")


def move_by_add():
    Writer.objects.get().novels.add(Novel.objects.get(writer=None))


def move_by_set():
    Writer.objects.get().novels.set([Novel.objects.get(writer=None)])


def move_by_remove():
    Writer.objects.get().novels.remove(Novel.objects.get(writer__isnull=False))


def move_by_clear():
    Writer.objects.get().novels.clear()


def raw_sql():
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE {Writer._meta.db_table} SET name = 'Ada'")


def raw_delete():
    Review.objects.all()._raw_delete("default")


@pytest.fixture
def library(db):
    writer = Writer.objects.create()
    novel = Novel.objects.create(writer=writer)
    Novel.objects.create()
    Review.objects.create(novel=novel)


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize(
    "operation",
    [bulk_create, bulk_update, update, move_by_add, move_by_set, move_by_remove, move_by_clear, raw_sql, raw_delete],
)
def test_nothing_is_sent_for(saved_and_deleted, operation):
    received = saved_and_deleted()
    operation()
    assert sent(received) == []


@pytest.mark.usefixtures("library")
def test_a_query_that_deletes_sends_each_row(saved_and_deleted):
    received = saved_and_deleted(pre_delete, post_delete)
    Novel.objects.all().delete()
    assert sent(received) == [("post_delete", "Novel")] * 2 + [("pre_delete", "Novel")] * 2


@pytest.mark.usefixtures("library")
def test_rows_that_go_by_cascade_are_sent(saved_and_deleted):
    received = saved_and_deleted(pre_delete, post_delete)
    Writer.objects.get().delete()
    assert sent(received) == [
        ("post_delete", "Novel"),
        ("post_delete", "Writer"),
        ("pre_delete", "Novel"),
        ("pre_delete", "Writer"),
    ]


@pytest.mark.skipif(django.VERSION < (6, 1), reason="Django 6.1 brought DB_CASCADE")
@pytest.mark.django_db
def test_rows_that_the_database_deletes_are_not_sent(saved_and_deleted):
    page = Page.objects.create()
    app.Footnote.objects.create(page=page)
    received = saved_and_deleted()
    page.delete()
    assert (sent(received), app.Footnote.objects.count()) == ([("post_delete", "Page"), ("pre_delete", "Page")], 0)


@pytest.mark.usefixtures("library")
def test_a_key_that_is_set_to_null_is_not_sent(saved_and_deleted):
    received = saved_and_deleted()
    Novel.objects.get(writer__isnull=False).delete()
    assert (sent(received), Review.objects.get().novel_id) == (
        [("post_delete", "Novel"), ("pre_delete", "Novel")],
        None,
    )


@pytest.mark.usefixtures("library")
def test_an_add_with_defaults_is_a_change_of_the_relation_and_no_save(saved_and_deleted):
    novel, writer = Novel.objects.first(), Writer.objects.get()
    received = saved_and_deleted(post_save, m2m_changed)
    novel.readers.add(writer, through_defaults={"stars": 3})
    assert sent(received) == [("m2m_changed", "Reading")] * 2


@pytest.mark.usefixtures("library")
def test_a_row_of_a_relation_that_is_created_is_a_save_and_no_change_of_the_relation(saved_and_deleted):
    received = saved_and_deleted(post_save, m2m_changed)
    Reading.objects.create(novel=Novel.objects.first(), reader=Writer.objects.get())
    assert sent(received) == [("post_save", "Reading")]


@pytest.mark.usefixtures("library")
def test_a_row_of_a_relation_that_is_deleted_is_a_delete_and_no_change_of_the_relation(saved_and_deleted):
    reading = Reading.objects.create(novel=Novel.objects.first(), reader=Writer.objects.get())
    received = saved_and_deleted(post_delete, m2m_changed)
    reading.delete()
    assert sent(received) == [("post_delete", "Reading")]


@pytest.mark.django_db
def test_a_row_of_a_relation_that_django_made_is_never_a_save_or_a_delete(saved_and_deleted):
    novel, genre = Novel.objects.create(), Genre.objects.create()
    received = saved_and_deleted()
    row = Novel.genres.through.objects.create(novel=novel, genre=genre)
    row.save()
    row.delete()
    assert sent(received) == []


@pytest.mark.django_db
def test_a_relation_that_goes_with_one_of_its_sides_is_not_sent(listen):
    novel, genre = Novel.objects.create(), Genre.objects.create()
    novel.genres.add(genre)
    received = listen(m2m_changed)
    genre.delete()
    assert (received, novel.genres.count()) == ([], 0)


FIXTURE = """[
    {"model": "app.genre", "pk": 7, "fields": {"name": "crime"}},
    {"model": "app.novel", "pk": 8, "fields": {"name": "The Moonstone", "writer": null, "genres": [7]}}
]"""


def load(tmp_path):
    path = tmp_path / "library.json"
    path.write_text(FIXTURE)
    call_command("loaddata", path, verbosity=0)


@pytest.mark.django_db
@pytest.mark.parametrize("signal", [pre_save, post_save])
def test_loaddata_is_sent_as_raw(listen, tmp_path, signal):
    received = listen(signal)
    load(tmp_path)
    assert [payload["raw"] for _, payload in received] == [True, True]


@pytest.mark.django_db
@pytest.mark.skipif(django.VERSION < (6, 1), reason="Django 6.1 says so")
def test_loaddata_sends_relations_as_raw(listen, tmp_path):
    received = listen(m2m_changed)
    load(tmp_path)
    assert {payload["raw"] for _, payload in received} == {True}


@pytest.mark.django_db
def test_a_deserialiser_is_sent_as_raw(listen):
    received = listen(post_save)
    for row in serializers.deserialize("json", FIXTURE):
        row.save()
    assert [payload["raw"] for _, payload in received] == [True, True]


@pytest.mark.django_db
def test_a_save_is_not_raw(listen):
    received = listen(post_save)
    Writer.objects.create()
    assert received[0].payload["raw"] is False


@pytest.fixture
def historical_writer():
    """The model Writer as a migration has it."""
    state = ProjectState()
    state.add_model(ModelState.from_model(Writer))
    return state.apps.get_model("app", "Writer")


@pytest.mark.django_db
def test_a_model_of_a_migration_is_not_received_by_receivers_of_the_real_one(listen, historical_writer):
    received = listen(post_save, sender=Writer)
    historical_writer.objects.create()
    assert received == []


@pytest.mark.django_db
def test_a_model_of_a_migration_is_not_received_by_receivers_of_an_abstract_base(listen, historical_writer):
    received = listen(post_save, sender=app.Named, subclasses=True)
    historical_writer.objects.create()
    assert received == []


@pytest.mark.django_db
def test_a_model_of_a_migration_is_received_by_receivers_of_any_sender(listen, historical_writer):
    received = listen(post_save)
    historical_writer.objects.create()
    assert [sender for sender, _ in received] == [historical_writer]


# --- models -------------------------------------------------------------------------------------------------------


def test_pre_init_has_the_arguments_of_the_constructor(connect):
    given = []
    connect(pre_init, lambda args, kwargs, **others: given.append((args, kwargs.copy())), sender=Writer)
    Writer(7, name="Ada")
    assert given == [((7,), {"name": "Ada"})]


def test_what_a_receiver_of_pre_init_changes_reaches_the_instance(connect):
    connect(pre_init, lambda kwargs, **others: kwargs.update(name="Grace"), sender=Writer)
    assert Writer(name="Ada").name == "Grace"


@pytest.mark.django_db
def test_a_query_passes_the_values_of_the_row_to_pre_init(listen):
    writer = Writer.objects.create(name="Ada")
    received = listen(pre_init, sender=Writer)
    Writer.objects.get()
    assert received[0].payload == {"args": (writer.pk, "Ada"), "kwargs": {}}


@pytest.mark.django_db
@pytest.mark.parametrize("signal", [pre_init, post_init])
def test_an_instance_is_sent_for_each_row_of_a_query(listen, signal):
    Writer.objects.bulk_create([Writer(), Writer(), Writer()])
    received = listen(signal, sender=Writer)
    list(Writer.objects.all())
    assert len(received) == 3


@pytest.mark.django_db
@pytest.mark.parametrize("signal", [pre_init, post_init])
@pytest.mark.parametrize("query", [Writer.objects.values, Writer.objects.values_list])
def test_values_make_no_instances(listen, signal, query):
    Writer.objects.create()
    received = listen(signal, sender=Writer)
    list(query())
    assert received == []


def test_the_fields_are_set_in_post_init(connect):
    set_to = []
    connect(post_init, lambda instance, **kwargs: set_to.append(instance.name), sender=Writer)
    Writer(name="Ada")
    assert set_to == ["Ada"]


@pytest.mark.django_db
def test_the_state_of_a_row_is_not_set_in_post_init(connect):
    Writer.objects.create()
    states = []
    connect(post_init, lambda instance, **kwargs: states.append(vars(instance._state).copy()), sender=Writer)
    Writer.objects.get()
    assert [(state.get("db"), state.get("adding", True)) for state in states] == [(None, True)]


@pytest.mark.django_db
@pytest.mark.parametrize(
    "save",
    [
        lambda: Writer.objects.create(),
        lambda: Writer.objects.get_or_create(name="Ada"),
        lambda: Writer.objects.update_or_create(name="Ada"),
        lambda: Writer().save(),
    ],
    ids=["create", "get_or_create", "update_or_create", "save"],
)
def test_pre_save_is_sent_once_by(listen, save):
    received = listen(pre_save, sender=Writer)
    save()
    assert len(received) == 1


@pytest.mark.django_db
def test_what_a_receiver_of_pre_save_assigns_is_written(connect):
    connect(pre_save, lambda instance, **kwargs: setattr(instance, "name", "Grace"), sender=Writer)
    Writer.objects.create(name="Ada")
    assert Writer.objects.get().name == "Grace"


@pytest.mark.django_db
def test_a_field_that_is_not_among_the_update_fields_is_not_written(connect):
    novel = Novel.objects.create(name="old")
    connect(pre_save, lambda instance, **kwargs: setattr(instance, "name", "new"), sender=Novel)
    novel.save(update_fields=["writer"])
    assert Novel.objects.get().name == "old"


@pytest.mark.django_db
@pytest.mark.parametrize("signal", [pre_save, post_save])
@pytest.mark.parametrize(("given", "expected"), [(None, None), (["name"], frozenset({"name"}))])
def test_update_fields_are_a_frozenset_or_none(listen, signal, given, expected):
    writer = Writer.objects.create()
    received = listen(signal, sender=Writer)
    writer.save(update_fields=given)
    assert received[0].payload["update_fields"] == expected


@pytest.mark.django_db
def test_the_state_tells_pre_save_whether_the_row_will_be_created(connect):
    adding = []
    connect(pre_save, lambda instance, **kwargs: adding.append(instance._state.adding), sender=Writer)
    Writer.objects.create().save()
    assert adding == [True, False]


@pytest.mark.django_db
def test_post_save_tells_whether_the_row_was_created(listen):
    received = listen(post_save, sender=Writer)
    Writer.objects.create().save()
    assert [payload["created"] for _, payload in received] == [True, False]


@pytest.mark.django_db
def test_the_instance_has_its_primary_key_in_post_save(connect):
    keys = []
    connect(post_save, lambda instance, **kwargs: keys.append(instance.pk), sender=Writer)
    writer = Writer.objects.create()
    assert keys == [writer.pk]


@pytest.mark.django_db(databases=["default", "other"])
@pytest.mark.parametrize("signal", [pre_save, post_save])
def test_using_is_the_database_that_is_written(listen, signal):
    received = listen(signal, sender=Writer)
    Writer.objects.using("other").create()
    assert received[0].payload["using"] == "other"


@pytest.mark.usefixtures("library")
def test_all_rows_are_there_in_pre_delete(connect):
    counted = []
    connect(pre_delete, lambda **kwargs: counted.append((Writer.objects.count(), Novel.objects.count())))
    Writer.objects.get().delete()
    assert counted == [(1, 2), (1, 2)]


@pytest.mark.usefixtures("library")
def test_rows_that_refer_to_others_go_first(listen):
    novel = Novel.objects.first()
    Reading.objects.create(novel=novel, reader=Writer.objects.get())
    received = listen(post_delete)
    novel.delete()
    assert [sender for sender, _ in received] == [Reading, Novel]


@pytest.mark.usefixtures("library")
def test_the_row_is_gone_in_post_delete(connect):
    counted = []
    connect(post_delete, lambda **kwargs: counted.append(Review.objects.count()), sender=Review)
    Review.objects.get().delete()
    assert counted == [0]


@pytest.mark.usefixtures("library")
def test_the_instance_has_its_primary_key_in_post_delete(connect):
    review, keys = Review.objects.get(), []
    expected = review.pk
    connect(post_delete, lambda instance, **kwargs: keys.append(instance.pk), sender=Review)
    review.delete()
    assert (keys, review.pk) == ([expected], None)


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("signal", [pre_delete, post_delete])
def test_the_origin_of_a_delete_is_the_instance(listen, signal):
    writer = Writer.objects.get()
    received = listen(signal)
    writer.delete()
    assert [payload["origin"] for _, payload in received] == [writer, writer]


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("signal", [pre_delete, post_delete])
def test_the_origin_of_a_delete_is_the_query(listen, signal):
    query = Writer.objects.filter(novels__isnull=False)
    received = listen(signal)
    query.delete()
    assert {type(payload["origin"]) for _, payload in received} == {type(query)}


# --- relations ----------------------------------------------------------------------------------------------------


@pytest.fixture
def crime(db):
    return Genre.objects.create(name="crime")


@pytest.fixture
def novel(db):
    return Novel.objects.create()


def test_an_add_has_the_keys_that_were_not_there(listen, novel, crime):
    other = Genre.objects.create()
    novel.genres.add(other)
    received = listen(m2m_changed)
    novel.genres.add(crime, other)
    assert related_by(received) == [("pre_add", {crime.pk}), ("post_add", {crime.pk})]


def test_an_add_of_what_is_there_is_sent_with_an_empty_set(listen, novel, crime):
    novel.genres.add(crime)
    received = listen(m2m_changed)
    novel.genres.add(crime)
    assert related_by(received) == [("pre_add", set()), ("post_add", set())]


def test_a_remove_has_all_keys_that_were_asked_for(listen, novel, crime):
    received = listen(m2m_changed)
    novel.genres.remove(crime)
    assert related_by(received) == [("pre_remove", {crime.pk}), ("post_remove", {crime.pk})]


def test_a_clear_has_no_keys(listen, novel, crime):
    novel.genres.add(crime)
    received = listen(m2m_changed)
    novel.genres.clear()
    assert related_by(received) == [("pre_clear", None), ("post_clear", None)]


def test_a_set_removes_and_adds_what_differs(listen, novel, crime):
    kept, gone = Genre.objects.create(), Genre.objects.create()
    novel.genres.add(kept, gone)
    received = listen(m2m_changed)
    novel.genres.set([kept, crime])
    assert related_by(received) == [
        ("pre_remove", {gone.pk}),
        ("post_remove", {gone.pk}),
        ("pre_add", {crime.pk}),
        ("post_add", {crime.pk}),
    ]


def test_a_change_from_the_side_with_the_field(listen, novel, crime):
    received = listen(m2m_changed, sender=Novel.genres.through)
    novel.genres.add(crime)
    payload = received[0].payload
    assert (payload["instance"], payload["reverse"], payload["model"]) == (novel, False, Genre)


def test_a_change_from_the_other_side(listen, novel, crime):
    received = listen(m2m_changed, sender=Novel.genres.through)
    crime.novels.add(novel)
    payload = received[0].payload
    assert (payload["instance"], payload["reverse"], payload["model"]) == (crime, True, Novel)


# --- classes ------------------------------------------------------------------------------------------------------


@isolate_apps("tests.app")
def test_a_proxy_is_prepared_and_an_abstract_model_is_not(listen):
    received = listen(class_prepared)

    class Base(models.Model):
        class Meta:
            app_label = "app"
            abstract = True

    class Child(Base):
        class Meta:
            app_label = "app"

    class Stand(Child):
        class Meta:
            app_label = "app"
            proxy = True

    assert [sender for sender, _ in received] == [Child, Stand]


def test_a_model_of_a_migration_is_prepared(listen):
    received = listen(class_prepared)
    state = ProjectState()
    state.add_model(ModelState.from_model(Writer))
    state.apps.get_model("app", "Writer")
    assert "Writer" in [sender.__name__ for sender, _ in received]


@isolate_apps("tests.app")
def test_the_fields_of_a_model_are_there_when_it_is_prepared(connect):
    fields = []
    connect(class_prepared, lambda sender, **kwargs: fields.extend(field.name for field in sender._meta.local_fields))

    class Prepared(models.Model):
        title = models.TextField()

        class Meta:
            app_label = "app"

    assert fields == ["id", "title"]


def test_a_receiver_that_an_app_connects_in_its_constructor_receives_its_models():
    early = """
        from django.apps import AppConfig
        from heliograph.signals import class_prepared
        prepared = []
        def record(sender, **kwargs):
            prepared.append(sender.__name__)
        class_prepared.connect(record)
    """
    settings = {"INSTALLED_APPS": ["heliograph", "django.contrib.contenttypes"]}
    assert run("tell(prepared)", early=early, **settings) == [["ContentType"]]


# --- migrations ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("signal", [pre_migrate, post_migrate])
def test_migrations_are_sent_with_their_plan(listen, transactional_db, signal):
    received = listen(signal, sender=apps.get_app_config("sessions"))
    call_command("migrate", "sessions", "zero", verbosity=0, interactive=False)
    call_command("migrate", "sessions", verbosity=0, interactive=False)
    plans = [[(migration.name, undone) for migration, undone in payload["plan"]] for _, payload in received]
    assert plans == [[("0001_initial", True)], [("0001_initial", False)]]


@pytest.mark.parametrize(("signal", "has_it"), [(pre_migrate, False), (post_migrate, True)])
def test_migrations_are_sent_with_the_models_before_or_after(listen, transactional_db, signal, has_it):
    call_command("migrate", "sessions", "zero", verbosity=0, interactive=False)
    received = listen(signal, sender=apps.get_app_config("auth"))
    call_command("migrate", "sessions", verbosity=0, interactive=False)
    models = {model._meta.label for model in received[0].payload["apps"].get_models()}
    assert ("sessions.Session" in models) is has_it


def test_post_migrate_is_sent_if_there_was_nothing_to_do(listen, transactional_db):
    received = listen(post_migrate, sender=apps.get_app_config("app"))
    call_command("migrate", verbosity=0, interactive=False)
    assert received[0].payload["plan"] == []


@pytest.mark.parametrize("signal", [pre_migrate, post_migrate])
def test_the_app_of_a_migration_is_its_sender(listen, transactional_db, signal):
    received = listen(signal)
    call_command("migrate", verbosity=0, interactive=False)
    assert all(payload["app_config"] is sender for sender, payload in received)


# --- requests -----------------------------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.parametrize("how", ["missing", "forbidden", "bad", "suspicious"])
def test_a_refusal_is_no_request_exception(listen, client, views, how):
    received = listen(got_request_exception)
    client.get(f"/refuse/{how}/")
    assert received == []


@pytest.mark.django_db
def test_the_exception_is_at_hand_in_got_request_exception(connect, client, views):
    found = []
    connect(got_request_exception, lambda **kwargs: found.append(sys.exc_info()[0]))
    client.raise_request_exception = False
    client.get("/fail/")
    assert found == [ZeroDivisionError]


@pytest.mark.django_db
def test_got_request_exception_has_the_request(listen, client, views):
    received = listen(got_request_exception)
    client.raise_request_exception = False
    client.get("/fail/")
    assert received[0].payload["request"].path == "/fail/"


def test_request_started_is_sent_before_any_middleware(connect, client, settings, views):
    steps = []
    settings.MIDDLEWARE = [f"{__name__}.{RecordingMiddleware.__name__}"]
    RecordingMiddleware.steps = steps
    connect(request_started, lambda **kwargs: steps.append("request_started"))
    client.get("/hello/")
    assert steps == ["request_started", "middleware"]


class RecordingMiddleware:
    steps: list[str]

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        self.steps.append("middleware")
        return self.get_response(request)


# --- databases ----------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_connection_created_is_sent_again_when_a_connection_was_closed(listen):
    received = listen(connection_created)
    for _ in range(2):
        connection.close()
        Writer.objects.exists()
    assert len(received) == 2


@pytest.mark.django_db(transaction=True)
def test_connection_created_is_not_sent_for_a_connection_that_is_open(listen):
    Writer.objects.exists()
    received = listen(connection_created)
    Writer.objects.exists()
    assert received == []


# --- tests --------------------------------------------------------------------------------------------------------


def test_setting_changed_tells_the_new_value_and_the_old_one(listen):
    received = listen(setting_changed)
    with override_settings(LANGUAGE_CODE="nl"):
        pass
    assert [payload for _, payload in received] == [
        {"setting": "LANGUAGE_CODE", "value": "nl", "enter": True},
        {"setting": "LANGUAGE_CODE", "value": "en-us", "enter": False},
    ]


def test_setting_changed_tells_none_for_a_setting_that_goes(listen):
    received = listen(setting_changed)
    with override_settings(COLOUR="red"):
        pass
    assert [payload["value"] for _, payload in received] == ["red", None]


def test_modify_settings_sends_setting_changed(listen):
    received = listen(setting_changed)
    with modify_settings(MIDDLEWARE={"append": "tests.middleware"}):
        pass
    assert [payload["setting"] for _, payload in received] == ["MIDDLEWARE"] * 2


def test_the_settings_fixture_sends_setting_changed(listen, settings):
    received = listen(setting_changed)
    settings.LANGUAGE_CODE = "nl"
    assert [payload["value"] for _, payload in received] == ["nl"]


def test_an_assignment_to_the_settings_sends_nothing(listen, monkeypatch):
    from django.conf import settings

    received = listen(setting_changed)
    monkeypatch.setattr(settings, "COLOUR", "red", raising=False)
    assert received == []


def test_the_settings_have_the_new_value_in_setting_changed(connect):
    from django.conf import settings

    values = []
    connect(setting_changed, lambda **kwargs: values.append(settings.LANGUAGE_CODE))
    with override_settings(LANGUAGE_CODE="nl"):
        pass
    assert values == ["nl", "en-us"]


def test_template_rendered_is_sent_for_templates_that_are_included(listen):
    received = listen(template_rendered)
    engine = engines["django"]
    template = engine.from_string("{% include other %}")
    template.render({"other": engine.from_string("{{ colour }}"), "colour": "red"})
    assert len(received) == 2


def test_template_rendered_is_sent_for_templates_that_are_extended(listen):
    received = listen(template_rendered)
    engine = engines["django"]
    template = engine.from_string("{% extends other %}")
    template.render({"other": engine.from_string("{% block a %}{% endblock %}")})
    assert len(received) == 2


def test_template_rendered_has_the_context(listen):
    received = listen(template_rendered)
    engines["django"].from_string("{{ colour }}").render({"colour": "red"})
    assert received[0].payload["context"]["colour"] == "red"


def test_template_rendered_is_not_sent_outside_of_tests():
    early = """
        from heliograph.signals import template_rendered
        received = []
        def record(**kwargs):
            received.append(kwargs)
        template_rendered.connect(record)
    """
    script = """
        from django.template import engines
        engines["django"].from_string("hello").render()
        tell(received)
    """
    templates = [{"BACKEND": "django.template.backends.django.DjangoTemplates"}]
    assert run(script, early=early, TEMPLATES=templates) == [[]]


# --- users --------------------------------------------------------------------------------------------------------


@pytest.fixture
def request_with_session(db):
    request = HttpRequest()
    request.session = SessionStore()
    return request


def test_the_request_has_its_user_in_user_logged_in(connect, ada, request_with_session):
    users = []
    connect(user_logged_in, lambda request, user, **kwargs: users.append((request.user, user)))
    request_with_session.user = None
    login(request_with_session, ada, "django.contrib.auth.backends.ModelBackend")
    assert users == [(ada, ada)]


def test_the_session_is_not_saved_yet_in_user_logged_in(connect, ada, request_with_session):
    found = []

    def look(request, **kwargs):
        stored = Session.objects.filter(session_key=request.session.session_key).first()
        found.append(("_auth_user_id" in request.session, bool(stored and stored.get_decoded())))

    connect(user_logged_in, look)
    login(request_with_session, ada, "django.contrib.auth.backends.ModelBackend")
    assert found == [(True, False)]


def test_the_session_is_what_it_was_in_user_logged_out(connect, ada, request_with_session):
    found = []
    request_with_session.session["basket"] = ["book"]
    connect(user_logged_out, lambda request, **kwargs: found.append(request.session.get("basket")))
    logout(request_with_session)
    assert found == [["book"]]


def test_what_a_receiver_of_user_logged_out_writes_into_the_session_is_gone(connect, ada, request_with_session):
    connect(user_logged_out, lambda request, **kwargs: request.session.update({"note": "kept"}))
    logout(request_with_session)
    assert "note" not in request_with_session.session


def test_nobody_can_log_out(listen, request_with_session):
    received = listen(user_logged_out)
    logout(request_with_session)
    assert [(sender, payload["user"]) for sender, payload in received] == [(type(None), None)]


def test_passwords_are_masked_in_user_login_failed(listen, ada):
    received = listen(user_login_failed)
    authenticate(HttpRequest(), username="ada", password="guess")
    assert received[0].payload["credentials"] == {"username": "ada", "password": "*" * 20}


def test_the_request_of_user_login_failed_may_be_none(listen, ada):
    received = listen(user_login_failed)
    authenticate(username="ada", password="guess")
    assert received[0].payload["request"] is None


def test_user_login_failed_is_not_sent_when_somebody_is_known(listen, ada):
    received = listen(user_login_failed)
    authenticate(username="ada", password="engine")
    assert received == []


# --- tasks --------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not HAS_TASKS, reason="Django 6.0 brought tasks")
@pytest.mark.parametrize(
    ("task", "expected"),
    [
        ("double", [("task_enqueued", "READY"), ("task_started", "RUNNING"), ("task_finished", "SUCCESSFUL")]),
        ("fail", [("task_enqueued", "READY"), ("task_started", "RUNNING"), ("task_finished", "FAILED")]),
    ],
)
def test_a_task_goes_through_these(connect, task, expected):
    from heliograph import signals
    from tests.helpers import tasks

    seen = []

    def record(signal, task_result, **kwargs):
        seen.append((signal.name.rpartition(".")[2], task_result.status.name))

    for name in ("task_enqueued", "task_started", "task_finished"):
        connect(getattr(signals, name), record)
    getattr(tasks, task).enqueue(*([2] if task == "double" else []))
    assert seen == expected


@pytest.mark.skipif(not HAS_TASKS, reason="Django 6.0 brought tasks")
def test_the_exception_of_a_task_is_at_hand_in_task_finished(connect):
    from heliograph.signals import task_finished
    from tests.helpers import tasks

    found = []
    connect(task_finished, lambda task_result, **kwargs: found.append((sys.exc_info()[0], len(task_result.errors))))
    tasks.fail.enqueue()
    assert found == [(ZeroDivisionError, 1)]
