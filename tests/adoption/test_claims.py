"""What docs/signals.md promises of all signals and of models, checked on real behaviour."""

import threading

import django
import pytest
from django.core import serializers
from django.core.management import call_command
from django.db import connection, connections, transaction
from django.db.migrations.state import ModelState, ProjectState

from heliograph.signals import (
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
)
from tests.app import models as app
from tests.app.models import Audiobook, Genre, Novel, Page, Reading, Reprint, Review, Writer

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
def test_the_state_says_in_pre_save_whether_the_row_will_be_created(connect):
    adding = []
    connect(pre_save, lambda instance, **kwargs: adding.append(instance._state.adding), sender=Writer)
    Writer.objects.create().save()
    assert adding == [True, False]


@pytest.mark.django_db
def test_post_save_says_whether_the_row_was_created(listen):
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
