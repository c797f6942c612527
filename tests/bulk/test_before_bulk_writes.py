"""BeforeWrite() with bulk=True: one call for a bulk write, before its statement."""

import pytest
from django.db import connection, transaction
from django.db.models import F
from django.db.models.functions import Concat, Upper

from heliograph import NO_ROW, UNKNOWN, BeforeCommit, BeforeWrite, changed, created, has, mute, trace
from heliograph.dispatch import Called, Sent
from heliograph.signals import (
    post_save,
    post_update,
    pre_bulk_create,
    pre_bulk_update,
    pre_save,
    pre_update,
)
from tests.app.models import Article, Country, Draft, Loan, Pinned, Post, Topic, Ware
from tests.helpers.errors import MishapError
from tests.helpers.stale_copies import elsewhere
from tests.helpers.statements import statements, verbs
from tests.helpers.writes import articles, conflict, make_loans, set_words, shapes, wares

pytestmark = pytest.mark.django_db

in_autocommit = pytest.mark.django_db(transaction=True)


@pytest.fixture
def due(receive):
    """Connect a receiver before writes: `received = due(Article, "words")` has the kind, key and values of each row."""

    def connect(sender=Article, *names, when=None, **options):
        received = []

        @receive(
            pre_save,
            sender=sender,
            bulk=True,
            when=(created | changed(*names)) if when is None else when,
            delivery=BeforeWrite(),
            **options,
        )
        def record(sender, batch, **kwargs):
            rows = [[(event.old(name), event.new(name)) for name in names] for event in batch.events]
            received.append([(event.kind, event.pk, *row) for event, row in zip(batch.events, rows, strict=True)])

        return received

    return connect


@pytest.fixture
def before(batches):
    """Connect a receiver before writes: the list of its batches."""

    def connect(sender=Article, **options):
        return batches(pre_save, sender=sender, bulk=True, delivery=BeforeWrite(), **options)

    return connect


def refuse(sender, batch, **kwargs):
    raise MishapError


@pytest.fixture
def refusing(receive):
    receive(pre_save, sender=Article, bulk=True, delivery=BeforeWrite())(refuse)


def words():
    return sorted(Article.objects.values_list("words", flat=True))


# --- update() -----------------------------------------------------------------------------------------------------


def test_an_update_is_one_call_with_its_rows_before_they_are_written(receive, due):
    first, second, _ = articles(1, 2, 9)
    stored = []

    @receive(pre_save, sender=Article, bulk=True, delivery=BeforeWrite())
    def look(sender, batch, **kwargs):
        stored.append(words())

    received = due(Article, "words")
    assert Article.objects.filter(words__lt=5).update(words=7) == 2
    assert received == [[("updated", first.pk, (1, 7)), ("updated", second.pk, (2, 7))]]
    assert (stored, words()) == ([[1, 2, 9]], [7, 7, 9])


NEW_VALUES = {
    "a number": (lambda: {"words": "7"}, "words", 7),
    "a sum of integers": (lambda: {"words": F("words") + 3}, "words", 4),
    "a text of the database": (lambda: {"title": Concat("title", "slug")}, "title", UNKNOWN),
    "nothing": (lambda: {"author": None}, "author", None),
}


@pytest.mark.parametrize(("values", "name", "new"), NEW_VALUES.values(), ids=NEW_VALUES)
def test_a_new_value_is_known_where_the_database_is_not_needed_for_it(due, values, name, new):
    (article,) = articles(1)
    received = due(Article, name, when=created | changed(name) | ~changed(name))
    Article.objects.update(**values())
    assert [[row[2][1] for row in batch] for batch in received] == [[new]]
    assert [[row[1] for row in batch] for batch in received] == [[article.pk]]


def test_a_sum_is_known_beside_what_only_the_database_can_compute(due):
    (article,) = articles(1)
    received = due(Article, "words", "title")
    Article.objects.update(words=F("words") + 3, title=Upper("slug"))
    assert received == [[("updated", article.pk, (1, 4), ("1", UNKNOWN))]]


def test_the_values_after_the_write_are_known_as_ever(due, batches):
    articles(1)
    due(Article, "title", "words")
    after = batches(post_update, sender=Article)
    Article.objects.update(title=Upper("title"), words=F("words") + 1, labels=[1])
    (batch,) = after
    assert [batch.changes(name)[0][1:] for name in ("words", "labels")] == [(1, 2), ([], [1])]


def test_an_instance_of_an_update_has_the_values_to_come(before):
    articles(1, 2)
    received = before(when=has(words=5, title="new"))
    Article.objects.update(words=5, title="new")
    assert [[one.words for one in batch.instances] for batch in received] == [[5, 5]]


def test_an_update_of_no_rows_is_no_call(before):
    received = before()
    assert Article.objects.update(words=1) == 0
    assert received == []


def test_rows_that_the_condition_leaves_out_are_not_in_the_batch(due):
    _, second = articles(1, 2)
    received = due(Article, "words")
    Article.objects.update(words=1)
    Article.objects.update(title="new")
    assert received == [[("updated", second.pk, (2, 1))]]


def test_rows_that_come_to_meet_the_condition_during_the_call_are_not_written(receive):
    articles(1)

    @receive(pre_save, sender=Article, bulk=True, delivery=BeforeWrite())
    def add_one(sender, batch, **kwargs):
        if batch.events[0].kind == "updated":
            articles(1)

    assert Article.objects.filter(words=1).update(words=5) == 1
    assert words() == [1, 5]


@in_autocommit
def test_the_rows_are_locked_before_the_call_and_written_by_their_keys(receive):
    articles(1, 2)
    order = []

    @receive(pre_save, sender=Article, bulk=True, when=changed("words"), delivery=BeforeWrite())
    def look(sender, batch, **kwargs):
        order.append(connection.in_atomic_block)
        list(Topic.objects.all())

    sent = [sql for sql in statements(lambda: Article.objects.update(words=F("words") + 1)) if "app_" in sql]
    (topics,) = [at for at, sql in enumerate(sent) if "app_topic" in sql]
    assert [sql.split()[0] for sql in sent[topics + 1 :]] == ["UPDATE"]
    assert [sql.split()[0] for sql in sent[:topics]] == ["SELECT"]
    assert ("FOR " in sent[0]) == connection.features.has_select_for_update
    assert "ORDER BY" in sent[0]  # so that two transactions lock rows in one order
    assert order == [True]


def test_an_update_of_several_tables_is_one_call(due):
    pinned = Pinned.objects.create(text="old", rank=1)
    received = due(Pinned, "text", "rank")
    Pinned.objects.update(text="new", rank=F("rank") + 1)
    assert received == [[("updated", pinned.pk, ("old", "new"), (1, 2))]]
    assert Pinned.objects.values_list("text", "rank").get() == ("new", 2)


def test_an_update_that_sets_a_key_has_the_old_one(due):
    Country.objects.create(code="de")
    received = due(Country, "code", "name")
    Country.objects.update(code="at", name="Austria")
    assert received == [[("updated", "de", ("de", "at"), ("", "Austria"))]]
    assert Country.objects.get().code == "at"


def test_an_update_by_a_related_manager_is_one_call(due):
    topic, other = Topic.objects.create(), Topic.objects.create()
    posts = [Post.objects.create(topic=other) for _ in range(2)]
    received = due(Post, "topic")
    Post.objects.filter(topic=other).update(topic=topic)
    assert received == [[("updated", post.pk, (other.pk, topic.pk)) for post in posts]]


def test_keys_that_a_deletion_empties_are_one_call(due):
    branch = make_loans(250)
    loans = sorted(Loan.objects.values_list("pk", flat=True))
    received = due(Loan, "nulled")
    branch.delete()
    assert received == [[("updated", key, ("gone", None)) for key in loans]]
    assert not Loan.objects.filter(nulled__isnull=False).exists()


@pytest.mark.parametrize(("field", "value"), [("defaulted", "main"), ("fixed", "main"), ("computed", "main")])
def test_keys_that_a_deletion_sets_are_one_call(due, field, value):
    branch = make_loans(2, field=field)
    received = due(Loan, field)
    branch.delete()
    assert [[row[2] for row in batch] for batch in received] == [[("gone", value)] * 2]


def test_a_deletion_that_is_refused_deletes_nothing(receive):
    branch = make_loans(2)
    receive(pre_save, sender=Loan, bulk=True, delivery=BeforeWrite())(refuse)
    with pytest.raises(MishapError), transaction.atomic():
        branch.delete()
    assert Loan.objects.filter(nulled="gone").count() == 2


# --- bulk_update() ------------------------------------------------------------------------------------------------


def test_a_bulk_update_is_one_call_whatever_its_statements(due):
    objects = articles(1, 2, 3)
    received = due(Article, "words")
    Article.objects.bulk_update(set_words(objects, 4, 5, 3), ["words"], batch_size=1)
    assert received == [[("updated", objects[0].pk, (1, 4)), ("updated", objects[1].pk, (2, 5))]]
    assert words() == [3, 4, 5]


def test_a_bulk_update_has_the_old_values_of_the_locked_rows_and_the_instances_of_the_caller(receive):
    (article,) = articles(1)
    elsewhere(article, words=5)
    received = []

    @receive(pre_save, sender=Article, bulk=True, when=changed("words"), delivery=BeforeWrite())
    def record(sender, batch, **kwargs):
        received.extend((event.old("words"), event.new("words"), event.instance is article) for event in batch.events)

    Article.objects.bulk_update([article], ["words"])
    assert received == [(5, 1, True)]


def test_an_expression_of_a_bulk_update_is_unknown(due):
    (article,) = articles(1)
    received = due(Article, "words")
    Article.objects.bulk_update(set_words([article], F("words") + 1), ["words"])
    assert received == [[("updated", article.pk, (1, UNKNOWN))]]


def test_a_bulk_update_of_some_rows_has_only_these(due):
    first, second = articles(1, 2)
    received = due(Article, "words")
    Article.objects.filter(words=1).bulk_update(set_words([first, second], 5, 6), ["words"])
    assert received == [[("updated", first.pk, (1, 5))]]
    assert words() == [2, 5]


def test_fields_that_are_not_written_keep_their_values(due):
    (article,) = articles(1)
    article.words, article.title = 5, "new"
    received = due(Article, "title", "words")
    Article.objects.bulk_update([article], ["title"])
    assert received == [[("updated", article.pk, ("1", "new"), (1, 1))]]


# --- bulk_create() ------------------------------------------------------------------------------------------------


def test_a_bulk_create_is_one_call_with_all_instances(receive, due):
    topic = Topic.objects.create()
    seen = []

    @receive(pre_save, sender=Post, bulk=True, delivery=BeforeWrite())
    def look(sender, batch, **kwargs):
        seen.append((batch.created, Post.objects.count()))

    received = due(Post, "topic")
    posts = [Post(topic=topic), Post()]
    Post.objects.bulk_create(posts, batch_size=1)
    assert received == [[("created", None, (NO_ROW, topic.pk)), ("created", None, (NO_ROW, None))]]
    assert seen == [(posts, 0)]


def test_a_parent_that_was_saved_after_it_was_set_has_its_key(due):
    topic = Topic()
    post, other = Post(topic=topic), Post.objects.create()
    other.topic = topic
    topic.save()
    received = due(Post, "topic")
    Post.objects.bulk_create([post])
    Post.objects.bulk_update([other], ["topic"])
    assert [[row[2] for row in batch] for batch in received] == [[(NO_ROW, topic.pk)], [(None, topic.pk)]]


def test_an_upsert_is_one_call_with_new_rows_and_those_in_conflict(due):
    (tea,) = wares("tea", stock=1)
    received = due(Ware, "stock")
    Ware.objects.bulk_create(
        [Ware(name="tea", stock=5), Ware(name="oil", stock=6)], **conflict("name", update=["stock"])
    )
    assert received == [[("created", None, (NO_ROW, 6)), ("updated", tea.pk, (1, 5))]]


def test_an_instance_of_an_upsert_is_that_of_the_caller(before):
    wares("tea", stock=1)
    received = before(Ware, when=has(stock=5))
    tea = Ware(name="tea", stock=5)
    Ware.objects.bulk_create([tea, Ware(name="oil", stock=6)], **conflict("name", update=["stock"]))
    assert [[event.instance for event in batch.events] for batch in received] == [[tea]]


def test_an_upsert_by_keys_knows_the_rows_in_conflict(due):
    (tea,) = wares("tea", stock=1)
    received = due(Ware, "stock", when=changed("stock"))
    rows = [Ware(pk=tea.pk, name="tea", stock=5), Ware(pk=tea.pk + 1, name="oil")]
    Ware.objects.bulk_create(rows, **conflict("id", update=["stock"]))
    assert received == [[("updated", tea.pk, (1, 5))]]


def test_instances_of_which_some_may_be_ignored_are_all_new(due):
    wares("tea")
    received = due(Ware, "stock")
    Ware.objects.bulk_create([Ware(name="tea", stock=1), Ware(name="oil", stock=2)], ignore_conflicts=True)
    assert received == [[("created", None, (NO_ROW, 1)), ("created", None, (NO_ROW, 2))]]


# --- what all of them have ----------------------------------------------------------------------------------------


def update():
    Article.objects.update(words=F("words") + 1)


def bulk_update():
    Article.objects.bulk_update(set_words([*Article.objects.all()], 5), ["words"])


def bulk_create():
    Article.objects.bulk_create([Article(words=5)])


WRITES = {"update": (update, pre_update), "bulk_update": (bulk_update, pre_bulk_update)}
WRITES["bulk_create"] = (bulk_create, pre_bulk_create)
of_each = pytest.mark.parametrize("write", [write for write, _ in WRITES.values()], ids=WRITES)


@of_each
@in_autocommit
def test_an_error_reaches_the_caller_and_nothing_is_written(refusing, write):
    articles(1)
    with pytest.raises(MishapError):
        write()
    assert words() == [1]


@of_each
def test_an_error_in_a_block_is_caught_around_a_block_of_its_own(refusing, write):
    articles(1)
    with transaction.atomic():
        with pytest.raises(MishapError), transaction.atomic():
            write()
        Topic.objects.create()
    assert (words(), Topic.objects.count()) == ([1], 1)


@of_each
def test_a_receiver_without_bulk_keeps_the_statements_of_django(receive, write):
    articles(1)
    plain = shapes(write)
    receive(pre_save, sender=Article, delivery=BeforeWrite())(refuse)
    assert shapes(write) == plain


@of_each
def test_a_receiver_for_another_database_keeps_the_statements_that_there_are(receive, write):
    receive(post_save, sender=Article, bulk=True, when=changed("words"))(lambda **kwargs: None)
    articles(1)
    write()  # with the first one, SQLite takes its lock
    plain = shapes(write)
    receive(pre_save, sender=Article, bulk=True, using="other", delivery=BeforeWrite())(refuse)
    assert shapes(write) == plain


def test_an_update_that_only_a_receiver_for_another_database_asks_for_is_that_of_django(receive):
    articles(1)
    plain = verbs(update)
    receive(pre_save, sender=Article, bulk=True, when=changed("words"), using="other", delivery=BeforeWrite())(refuse)
    assert verbs(update) == plain


def test_an_update_of_a_model_with_other_receivers_of_pre_save_is_that_of_django(listen):
    articles(1)
    plain = verbs(update)
    listen(pre_save, sender=Article, bulk=True)
    assert verbs(update) == plain


@pytest.mark.parametrize("name", WRITES)
def test_the_call_comes_after_the_signals_before_a_write_and_before_its_row(connect, receive, name):
    write, signal = WRITES[name]
    articles(1)
    order = []
    connect(signal, lambda **kwargs: order.append("pre_bulk"), sender=Article, weak=False)
    connect(pre_save, lambda **kwargs: order.append("pre_save"), sender=Article, bulk=True, weak=False)
    connect(post_save, lambda **kwargs: order.append("post_save"), sender=Article, bulk=True, weak=False)

    @receive(pre_save, sender=Article, bulk=True, delivery=BeforeWrite(), order=-1)
    def look(sender, batch, **kwargs):
        order.append(words())

    write()
    each = [] if name == "update" else ["pre_save"]
    assert order == ["pre_bulk", *each, [1], "post_save"]


@of_each
def test_what_a_receiver_of_pre_save_sets_is_in_the_batch(connect, due, write):
    articles(1)

    def set_title(instance, update_fields=None, **kwargs):
        instance.title = "set"

    connect(pre_save, set_title, sender=Article, bulk=True, writes=["title"])
    received = due(Article, "title")
    write()
    titles = [row[2][1] for batch in received for row in batch]
    assert titles == ([] if write is update else ["set"])


@of_each
def test_a_receiver_that_writes_the_rows_is_not_called_again_for_them(receive, write):
    articles(1)
    received = []

    @receive(pre_save, sender=Article, bulk=True, delivery=BeforeWrite())
    def write_again(sender, batch, **kwargs):
        received.append(len(batch.events))
        Article.objects.filter(pk__in=[key for key in batch.pks if key]).update(title="again")

    write()
    assert received == [1]


def test_a_receiver_is_called_for_other_new_rows_that_it_creates(receive):
    received = []

    @receive(pre_save, sender=Article, bulk=True, delivery=BeforeWrite())
    def add_one(sender, batch, **kwargs):
        received.append(batch.created[0].title)
        if batch.created[0].title == "first":
            Article.objects.bulk_create([Article(title="second")])

    Article.objects.bulk_create([Article(title="first")])
    assert received == ["first", "second"]


@of_each
def test_a_muted_receiver_is_not_called(refusing, write):
    articles(1)
    with mute(refuse):
        write()
    assert words() != [1]


@of_each
def test_observers_see_one_call(before, write):
    articles(1)
    before()
    with trace() as traced:
        write()
    of_rows = [event for event in traced.events if isinstance(event, Sent | Called) and event.signal is pre_save]
    assert [type(event) for event in of_rows] == [Called]  # and no send for each row


@of_each
def test_an_async_receiver_has_run_before_the_rows_are_written(receive, write):
    articles(1)
    received = []

    @receive(pre_save, sender=Article, bulk=True, delivery=BeforeWrite())
    async def record(sender, batch, **kwargs):
        received.append(len(batch.events))

    write()
    assert received == [1]


@in_autocommit
async def test_a_bulk_write_from_async_code_is_one_call(before, async_database):
    received = before()
    await Article.objects.abulk_create([Article(words=1)])
    await Article.objects.aupdate(words=2)
    assert [batch.events[0].kind for batch in received] == ["created", "updated"]


def test_rows_of_a_proxy_and_of_heirs_reach_who_asks_for_them(before):
    own, of_all = before(Draft), before(Post, subclasses=True)
    Draft.objects.bulk_create([Draft()])
    Pinned.objects.create()
    Post.objects.update(text="new")
    Pinned.objects.update(rank=5)
    assert [batch.events[0].kind for batch in own] == ["created"]
    assert [len(batch.events) for batch in of_all] == [1, 1, 2, 1]


def test_the_same_receiver_is_called_for_saves(due):
    received = due(Article, "words")
    article = Article.objects.create(words=1)
    article.words = 2
    article.save()
    assert received == [[("created", None, (NO_ROW, 1))], [("updated", article.pk, (1, 2))]]


@in_autocommit
def test_it_is_one_transaction_with_the_receivers_after_the_write(receive, before):
    articles(1)
    before()
    receive(post_save, sender=Article, bulk=True, delivery=BeforeCommit(batch=True))(refuse)
    with pytest.raises(MishapError):
        update()
    assert words() == [1]


def test_it_says_that_it_waits_for_bulk_writes_of_pre_save_only(receive):
    with pytest.raises(TypeError, match=r"It works on pre_save, with bulk=True for bulk writes too, and not on"):
        receive(pre_update, sender=Article, delivery=BeforeWrite())(refuse)
