"""Who listens to bulk writes: from the first receiver that asks to the last one, and how a wrong request fails."""

import gc

import pytest
from django.core.exceptions import FieldDoesNotExist
from django.db import connection, models, transaction
from django.db.models import F
from django.db.models.signals import m2m_changed, post_delete, post_save
from django.test.utils import CaptureQueriesContext, isolate_apps

from heliograph import BeforeCommit, Inline, OnCommit, ReentrancyError, capture, changed, created, mute, trace
from heliograph.flow.listing import lines
from heliograph.flow.receiver_filters import Filters
from heliograph.signals import (
    m2m_changes,
    post_bulk_create,
    post_bulk_delete,
    post_update,
    pre_bulk_create,
    pre_update,
    request_finished,
)
from tests.app.models import Article, Country, Genre, Novel, Reprint
from tests.helpers.errors import MishapError
from tests.helpers.pythons import counts_all_references
from tests.helpers.statements import verbs

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])


def articles(count=3, **fields):
    return Article.objects.bulk_create([Article(words=number, **fields) for number in range(count)])


def verbs_of(write):
    """Return the first words of the statements of a write in a transaction."""
    with transaction.atomic():
        return verbs(write)


def update():
    Article.objects.update(words=F("words") + 1)


# --- who is there -------------------------------------------------------------------------------------------------


def test_a_muted_receiver_costs_no_statement(listen):
    articles()
    without = verbs_of(update)
    listen(post_update, sender=Article)
    with mute(post_update):
        assert verbs_of(update) == without


def test_a_receiver_in_bulk_that_is_muted_by_itself_costs_no_statement(receive):
    articles()
    without = verbs_of(update)

    @receive(post_save, sender=Article, bulk=True)
    def record(sender, **kwargs): ...

    with mute(record):
        assert verbs_of(update) == without


def test_a_receiver_that_left_costs_nothing_though_an_error_still_holds_it():
    articles()
    without = verbs_of(update)

    def refuse(sender, **kwargs):
        raise MishapError

    post_update.connect(refuse, sender=Article)
    with pytest.raises(MishapError) as held:
        update()
    post_update.disconnect(refuse, sender=Article)
    assert verbs_of(update) == without
    assert held.tb is not None


def test_a_receiver_that_is_collected_leaves():
    articles()
    without = verbs_of(update)

    def record(sender, **kwargs): ...

    post_update.connect(record, sender=Article)
    del record
    gc.collect()
    assert verbs_of(update) == without


def test_a_capture_alone_makes_a_write_signal_be_sent():
    articles(2)
    with capture(post_update) as sent:
        update()
    assert [len(one.kwargs["batch"].events) for one in sent] == [2]


def test_a_capture_of_one_sender_leaves_others_alone():
    with capture(post_bulk_create, sender=Novel) as sent:
        articles()
    assert len(sent) == 0


def test_a_model_with_another_listener_keeps_its_statements(listen):
    articles()
    without = verbs_of(update)
    listen(post_update, sender=Novel)
    listen(post_save, sender=Novel, bulk=True)
    listen(m2m_changes, sender=Novel.genres.through)
    assert verbs_of(update) == without


def test_a_receiver_of_the_concrete_model_receives_a_proxy_with_subclasses(listen):
    alone, both = listen(post_bulk_create, sender=Novel), listen(post_bulk_create, sender=Novel, subclasses=True)
    Reprint.objects.bulk_create([Reprint(name="a")])
    assert (alone, [one.sender for one in both]) == ([], [Reprint])


def test_a_sender_that_is_named_is_received(listen):
    received = listen(post_update, sender="app.Article")
    articles(1)
    update()
    assert [one.sender for one in received] == [Article]


def test_several_senders_are_received(listen):
    received = listen(post_bulk_create, sender=[Article, Genre])
    articles(1)
    Genre.objects.bulk_create([Genre(name="a")])
    Novel.objects.bulk_create([Novel(name="a")])
    assert [one.sender for one in received] == [Article, Genre]


@isolate_apps("tests.app")  # or all later tests would have two models of one table
def test_models_of_migrations_are_not_received(listen):
    received = listen(post_bulk_create)
    meta = type("Meta", (), {"app_label": "app", "db_table": Genre._meta.db_table})
    old = type("OldGenre", (models.Model,), {"__module__": "__fake__", "Meta": meta, "name": models.TextField()})
    old._base_manager.bulk_create([old(name="a")])
    assert received == []


def test_one_database_is_received_alone(receive):
    received = []

    @receive(post_update, sender=Article, using="other")
    def record(sender, using, **kwargs):
        received.append(using)

    for alias in ("default", "other"):
        Article.objects.using(alias).bulk_create([Article()])
        Article.objects.using(alias).update(words=3)
    assert received == ["other"]


@pytest.mark.parametrize("policy", [Inline, BeforeCommit, OnCommit])
def test_rows_of_one_database_are_in_the_batches_of_its_receivers_alone(batches, policy):
    received = batches([post_save, post_delete], using="other", bulk=True, delivery=policy(batch=True))
    for alias in ("default", "other"):
        Article.objects.using(alias).bulk_create([Article()])
        Article.objects.using(alias).update(words=3)
        Article.objects.using(alias).all().delete()
    assert [(event.kind, event.kwargs["using"]) for batch in received for event in batch.events] == [
        ("created", "other"),
        ("updated", "other"),
        ("deleted", "other"),
    ]


def test_the_list_of_receivers_says_who_receives_bulk_writes(receive):
    @receive(post_save, sender=Article, bulk=True)
    def record(sender, **kwargs): ...

    assert any("bulk=True" in line for line in lines(Filters(["post_save"])))


def test_a_trace_shows_the_receivers_of_rows(receive):
    @receive(post_save, sender=Article, bulk=True)
    def record_of_a_row(sender, **kwargs): ...

    with trace() as flow:
        articles(2)
    assert str(flow).count("record_of_a_row") == 2


# --- receivers that write again -----------------------------------------------------------------------------------


def test_a_receiver_of_an_update_may_update_its_rows(receive):
    received = []

    @receive(post_update, sender=Article)
    def count(sender, batch, **kwargs):
        received.append(batch.pks)
        Article.objects.filter(pk__in=batch.pks).update(words=F("words") + 10)

    articles(2)
    update()
    assert len(received) == 1
    assert sorted(Article.objects.values_list("words", flat=True)) == [11, 12]


def test_a_receiver_of_an_update_receives_of_the_other_rows_that_it_updates(receive):
    received = []

    @receive(post_update, sender=Article)
    def count(sender, batch, **kwargs):
        received.append(batch.pks)
        if len(received) == 1:
            Article.objects.update(title="all")

    first, *others = articles(3)
    Article.objects.filter(pk=first.pk).update(words=9)
    assert [sorted(keys) for keys in received] == [[first.pk], [one.pk for one in others]]


async def test_an_async_receiver_of_an_update_may_update_its_rows(receive, async_database):
    received = []

    @receive(post_update, sender=Article)
    async def count(sender, batch, **kwargs):
        received.append(batch.pks)
        await Article.objects.aupdate(words=5)

    await Article.objects.abulk_create([Article(), Article()])
    await Article.objects.aupdate(words=4)
    assert len(received) == 1


def test_a_receiver_of_an_update_that_must_not_cause_itself_is_named(receive):
    @receive(post_update, sender=Article, reentrant="raise")
    def count_for_ever(sender, batch, **kwargs):
        update()

    articles(1)
    with pytest.raises(ReentrancyError, match="count_for_ever"):
        update()


def test_a_receiver_that_allows_it_is_called_again(listen, connect):
    received = []

    def count(sender, batch, **kwargs):
        received.append(batch.pks)
        if len(received) < 3:
            update()

    connect(post_update, count, sender=Article)
    articles(1)
    update()
    assert len(received) == 3


# --- what is sent -------------------------------------------------------------------------------------------------


def test_rows_of_several_writes_are_delivered_without_their_instances(receive):
    received = []

    @receive(post_save, sender=Article, bulk=True, when=changed("words"), delivery=BeforeCommit(batch=True))
    def look(sender, batch, **kwargs):
        received.append((batch.pks, batch.changes("words")))

    keys = [article.pk for article in articles(2)]
    with transaction.atomic(), CaptureQueriesContext(connection) as queries:
        for words in (5, 6, 7):
            Article.objects.update(words=words)
    assert received == [(keys, [(keys[0], 0, 7), (keys[1], 1, 7)])]
    assert not [query for query in queries.captured_queries if "cover" in query["sql"]]


def test_the_instances_of_several_writes_have_their_last_state(receive):
    received = []

    @receive(post_save, sender=Article, bulk=True, delivery=BeforeCommit(batch=True))
    def look(sender, batch, **kwargs):
        received.extend((one.words, one.title) for one in batch.instances)

    articles(1)
    received.clear()
    with transaction.atomic():
        Article.objects.update(words=5)
        Article.objects.update(title="new")
    assert received == [(5, "new")]


@pytest.mark.parametrize("values", [{"price": 7, "words": 5}, {"words": 5, "price": 7}], ids=["so", "or so"])
def test_an_instance_of_a_row_that_is_gone_has_what_is_known(receive, values):
    received = []

    @receive(post_update, sender=Article)
    def look(sender, batch, **kwargs):
        Article.objects.all().delete()
        received.extend((one.words, one.price) for one in batch.instances)

    articles(1)
    Article.objects.update(**values)
    assert received == [(5, 7)]


def test_a_write_that_sets_keys_is_delivered_by_the_keys_that_its_rows_had(receive):
    received = []
    Country.objects.create(code="de", name="Germany")

    @receive(post_update, sender=Country)
    def look(sender, batch, **kwargs):
        received.append((batch.pks, [(one.pk, one.name) for one in batch.instances]))

    Country.objects.filter(code="de").update(code="fr")
    assert received == [(["de"], [("fr", "Germany")])]


def test_changes_of_a_field_that_was_not_asked_for_are_no_empty_list(receive):
    @receive(post_save, sender=Article, bulk=True, when=changed("words"), delivery=BeforeCommit(batch=True))
    def ask(sender, batch, **kwargs):
        batch.changes("title")

    articles(1)
    with pytest.raises(LookupError, match=r"app.Article.title are not known"):
        update()


def test_an_open_transaction_takes_the_lock_of_sqlite_once(listen):
    listen(post_update, sender=Article)
    articles()
    found = verbs_of(lambda: [update() for _ in range(3)])
    assert found.count("UPDATE") == (4 if connection.vendor == "sqlite" else 3)


# --- mistakes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("signal", [m2m_changed, request_finished, post_update])
def test_bulk_is_refused_where_there_is_nothing_to_receive(receive, signal):
    with pytest.raises(TypeError, match="bulk=True works on pre_save, post_save, pre_delete, post_delete, not on"):

        @receive(signal, bulk=True)
        def record(sender, **kwargs): ...


def test_bulk_takes_no_names(receive):
    with pytest.raises(TypeError, match=r"bulk= takes True or False, not \['words'\]."):

        @receive(post_save, sender=Article, bulk=["words"])
        def record(sender, **kwargs): ...


@pytest.mark.parametrize("signal", [post_bulk_create, post_update, post_bulk_delete])
@pytest.mark.parametrize("policy", [BeforeCommit(batch=True), OnCommit(batch=True)], ids=repr)
def test_a_signal_that_sends_a_batch_is_not_put_into_another(receive, signal, policy):
    with pytest.raises(TypeError, match="sends a batch of its own"):

        @receive(signal, sender=Article, delivery=policy)
        def record(sender, batch, **kwargs): ...


def test_a_receiver_of_a_name_that_is_not_sent_is_refused(receive):
    with pytest.raises(TypeError, match=r"asks for 'instance', which [\w.]+\.post_update never sends"):

        @receive(post_update, sender=Article)
        def record(sender, instance, **kwargs): ...


def test_a_condition_on_an_instance_is_refused_where_there_are_many(receive):
    with pytest.raises(TypeError, match=r"changed\('words'\) asks for 'instance'"):

        @receive(post_update, sender=Article, when=changed("words"))
        def record(sender, **kwargs): ...


def test_whether_a_row_is_new_is_no_question_to_many(receive):
    with pytest.raises(TypeError, match="created asks for 'created', which"):

        @receive(post_update, sender=Article, when=created)
        def record(sender, **kwargs): ...


@counts_all_references
def test_a_lambda_that_nobody_holds_is_refused():
    with pytest.raises(ValueError, match="would be collected at once"):
        pre_update.connect(lambda **kwargs: None, sender=Article)


def test_a_field_that_is_not_there_is_no_empty_list_of_changes(receive):
    @receive(post_update, sender=Article)
    def ask(sender, batch, **kwargs):
        batch.changes("wrods")

    articles(1)
    with pytest.raises(FieldDoesNotExist, match="wrods"):
        update()


def test_a_field_that_is_not_there_is_no_empty_list_in_a_batch_of_saves(receive):
    @receive(post_save, sender=Article, when=changed("words"), delivery=BeforeCommit(batch=True))
    def ask(sender, batch, **kwargs):
        batch.changes("wrods")

    (article,) = articles(1)
    article.words = 5
    with pytest.raises(FieldDoesNotExist, match="wrods"):
        article.save()


def test_changes_that_nobody_asked_for_are_no_empty_list(receive):
    articles(1)

    @receive([post_save, post_delete], sender=Article, bulk=True, delivery=BeforeCommit(batch=True))
    def ask(sender, batch, **kwargs):
        batch.changes("words")

    with pytest.raises(LookupError, match="the receiver does not watch them"):
        update()


def test_what_a_receiver_raises_before_a_creation_undoes_nothing_but_that(connect):
    def refuse(sender, **kwargs):
        raise MishapError

    connect(pre_bulk_create, refuse, sender=Article)
    with pytest.raises(MishapError):
        articles()
    assert Article.objects.count() == 0
