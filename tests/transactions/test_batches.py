"""What is in the batch of a transaction."""

import pytest
from django.db import transaction
from django.db.models.signals import post_delete, post_save, pre_save

from heliograph import BeforeCommit, OnCommit, Signal, changed, created, raw
from tests.app.models import Article, Country, Genre, Writer
from tests.helpers.bare import run
from tests.helpers.batches import batches_of
from tests.helpers.errors import MishapError

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])

# --- batches ------------------------------------------------------------------------------------------------------


def test_a_batch_of_pre_save_knows_what_was_new(receive):
    received = batches_of(receive, pre_save, sender=Article, when=created)
    with transaction.atomic():
        article = Article.objects.create()
        article.save()
    assert [batch.created for batch in received] == [[article]]


def test_a_batch_of_all_signals_has_one_event_for_a_row(receive):
    received = batches_of(receive, [pre_save, post_save, post_delete], sender=Article)
    with transaction.atomic():
        Article.objects.create()
        Article.objects.create().delete()
    assert [[event.kind for event in batch.events] for batch in received] == [["created"]]


def test_what_was_deleted_and_created_again_is_updated(receive):
    Country.objects.create(code="de", name="Germany")
    received = batches_of(receive, [post_save, post_delete], sender=Country)
    with transaction.atomic():
        Country.objects.get(code="de").delete()
        Country.objects.create(code="de", name="Deutschland")
    assert [[(event.kind, event.instance.name) for event in batch.events] for batch in received] == [
        [("updated", "Deutschland")]
    ]


def test_a_function_with_two_conditions_receives_what_one_of_them_lets_through(receive):
    received = []

    def record(sender, batch, **kwargs):
        received.append([event.kind for event in batch.events])

    policy = BeforeCommit(batch=True)
    receive(post_save, sender=Article, when=created, delivery=policy, dispatch_uid="new")(record)
    receive(post_save, sender=Article, when=changed("words"), delivery=policy, dispatch_uid="changed")(record)
    article = Article.objects.create()
    article.words = 5
    article.save()
    article.save()
    assert received == [["created"], ["updated"]]


def test_update_fields_of_a_batch_are_those_of_all_saves(receive):
    article = Article.objects.create()
    received = batches_of(receive, post_save, sender=Article)
    with transaction.atomic():
        article.save(update_fields=["title"])
        article.save(update_fields=["words"])
    with transaction.atomic():
        article.save(update_fields=["title"])
        article.save()
    assert [batch.events[0].kwargs["update_fields"] for batch in received] == [{"title", "words"}, None]


def test_changes_that_nobody_asked_for_are_an_error_that_says_how_to_ask(receive):
    article = Article.objects.create()
    received = batches_of(receive, post_save, sender=Article, when=~raw)
    article.save()
    with pytest.raises(LookupError, match=r"Article object .* are not known: .* Connect it with when=changed\("):
        received[0].events[0].changes  # noqa: B018 - to ask is what raises


def test_changes_of_several_instances_of_a_row_are_put_together(receive):
    key = Article.objects.create(words=1, title="a").pk
    received = batches_of(receive, post_save, sender=Article, when=changed())
    with transaction.atomic():
        first, second = Article.objects.get(pk=key), Article.objects.get(pk=key)
        first.words = 2
        first.save(update_fields=["words"])
        second.title = "b"
        second.save(update_fields=["title"])
    (event,) = received[0].events
    assert event.changes == {"words": (1, 2), "title": ("a", "b")}


@pytest.mark.parametrize("name", ["author", "author_id"])
def test_the_changes_of_a_foreign_key_have_the_name_of_its_field_whatever_name_is_watched(receive, name):
    received = batches_of(receive, post_save, sender=Article, when=changed(name), bulk=True)
    ada, article = Writer.objects.create(), Article.objects.create()
    article.author = ada
    article.save()
    Article.objects.update(author=None)
    moves = [(None, ada.pk), (ada.pk, None)]
    for asked in ("author", "author_id"):
        assert [batch.changes(asked) for batch in received] == [[(article.pk, *move)] for move in moves]
        assert [batch.events[0].changes for batch in received] == [{"author": move} for move in moves]
        assert [batch.events[0].changes[asked] for batch in received] == moves
        assert [(one.old(asked), one.new(asked)) for batch in received for one in batch.events] == moves


def test_a_new_row_has_no_changes(receive):
    received = batches_of(receive, post_save, sender=Article, when=created | changed("words"))
    Article.objects.create(words=1)
    assert received[0].events[0].changes == {}


def test_a_condition_without_a_hash_can_be_asked(receive):
    received = batches_of(receive, post_save, sender=Article, when=changed("labels", to=["new"]))
    article = Article.objects.create()
    article.labels = ["new"]
    article.save()
    assert [batch.updated for batch in received] == [[article]]


def test_equal_senders_have_one_batch(receive):
    shipped = Signal(name="shop.shipped")
    received = batches_of(receive, shipped)
    with transaction.atomic():
        for sender in ("shop", "".join(["sh", "op"]), "station"):
            shipped.send(sender=sender, using="default")
    assert [len(batch.events) for batch in received] == [2, 1]


def test_an_event_and_a_batch_can_be_kept_in_a_set(receive):
    received = batches_of(receive, post_save, sender=Article)
    Article.objects.create()
    assert len({received[0], *received[0].events}) == 2


def test_a_condition_of_an_async_batch_may_ask_the_database(receive):
    received = []

    def has_genre(instance, **kwargs):
        return Genre.objects.exists()

    @receive(post_save, sender=Article, when=has_genre, delivery=OnCommit(batch=True))
    async def record(sender, batch, **kwargs):
        received.append(batch)

    Article.objects.create()
    Genre.objects.create()
    Article.objects.create()
    assert [len(batch.events) for batch in received] == [1]


def test_a_condition_that_raises_after_the_commit_is_logged(receive, caplog):
    def broken(**kwargs):
        raise MishapError("no way")

    @receive(post_save, sender=Article, when=broken, delivery=OnCommit(batch=True))
    def record(sender, batch, **kwargs): ...

    Article.objects.create()
    assert "record after the commit (no way)" in caplog.text


# --- batches of pre_save, of the deleted and of models that more is known of meanwhile ------------------------------


def test_a_batch_of_pre_save_has_the_changes_of_what_is_written(receive):
    Article.objects.create(words=1, title="a")
    received = batches_of(receive, pre_save, sender=Article, when=changed("words", "title"))
    article = Article.objects.get()
    article.words, article.title = 2, "b"
    with transaction.atomic():
        article.save(update_fields=["words"])
    with transaction.atomic():
        article.save()
    assert [batch.events[0].changes for batch in received] == [{"words": (1, 2)}, {"title": ("a", "b")}]


def test_a_batch_of_deletions_has_the_values_of_the_row_and_not_what_was_set_and_never_saved(receive):
    Article.objects.create(words=1)
    received = batches_of(receive, post_delete, sender=Article)
    article = Article.objects.get()
    article.words = 2
    article.delete()
    assert received[0].events[0].instance.words == 1


def test_where_more_is_watched_in_the_middle_of_it_what_was_watched_before_is_known(receive):
    Article.objects.create(words=1)
    received = batches_of(receive, post_save, sender=Article, when=changed("words"))
    article = Article.objects.get()
    with transaction.atomic():
        article.words = 2
        article.save()
        batches_of(receive, post_save, sender=Article, when=changed("title"), dispatch_uid="title")
        article.words = 3
        article.save()
    assert received[0].events[0].changes == {"words": (1, 3)}


def test_a_transaction_whose_end_a_tool_has_wrapped_is_flushed():
    delivered = run(
        """
        from django.contrib.auth.models import Group
        from django.core.management import call_command
        from django.db import transaction
        from django.db.models.signals import post_save
        from heliograph import BeforeCommit, receiver

        received = []

        def timed(inner):
            def end(self, *error):
                received.append("timed")
                return inner(self, *error)
            return end

        call_command("migrate", verbosity=0)
        transaction.Atomic.__exit__ = timed(transaction.Atomic.__exit__)

        @receiver(post_save, sender=Group, delivery=BeforeCommit())
        def record(sender, **kwargs):
            received.append("before")

        with transaction.atomic():
            Group.objects.create(name="a")
        report(received)
        """,
        INSTALLED_APPS=["heliograph", "django.contrib.auth", "django.contrib.contenttypes"],
    )
    assert delivered == [["before", "timed"]]
