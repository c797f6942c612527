"""Receivers of pre_save that say what they write: writes=."""

import re

import pytest
from django.core.exceptions import FieldDoesNotExist
from django.db import transaction

from heliograph import changed, created
from heliograph.catalogue import title
from heliograph.signals import m2m_changed, post_save, pre_delete, pre_save
from tests.app.models import Article, Audiobook, Novel, Writer
from tests.helpers.messages import exactly
from tests.helpers.receivers import takes_changes
from tests.helpers.statements import verbs

database = pytest.mark.django_db

committing = pytest.mark.django_db(transaction=True)


@pytest.fixture
def slugify(receive):
    """Connect a receiver of pre_save that makes the slug of the title, and says that it writes that."""

    def connect(**options):
        @receive(pre_save, **{"sender": Article, "writes": ["slug"], **options})
        def slugify(instance, **kwargs):
            instance.slug = instance.title.lower()

    return connect


def stored(article):
    return Article.objects.get(pk=article.pk)


@database
def test_a_field_that_a_receiver_writes_is_saved_along_with_update_fields(slugify):
    slugify()
    article = Article.objects.create(title="Tides")
    article.title = "Moons"
    article.save(update_fields=["title"])
    assert stored(article).slug == "moons"


@database
def test_a_field_that_a_receiver_does_not_say_it_writes_is_not_saved_as_in_django(slugify):
    slugify(writes=None)
    article = Article.objects.create(title="Tides")
    article.title = "Moons"
    article.save(update_fields=["title"])
    assert stored(article).slug == "tides"


@database
def test_receivers_of_post_save_see_the_field_that_was_written(slugify, listen):
    slugify()
    received = listen(post_save, sender=Article)
    article = Article.objects.create(title="Tides")
    article.title = "Moons"
    article.save(update_fields=["title"])
    assert received[1].payload["update_fields"] == {"title", "slug"}


@database
def test_a_field_that_was_written_is_a_change(slugify, changes_for):
    slugify()
    got = changes_for(post_save, sender=Article, when=changed("slug"))
    article = Article.objects.create(title="Tides")
    article.title = "Moons"
    article.save(update_fields=["title"])
    assert got == [{"slug": ("tides", "moons")}]


@database
def test_a_later_receiver_of_pre_save_sees_the_field_that_was_written(slugify, changes_for):
    slugify()
    got = changes_for(pre_save, sender=Article, when=changed("slug"))
    article = Article.objects.create(title="Tides")
    article.title = "Moons"
    article.save(update_fields=["title"])
    assert got == [{"slug": ("tides", "moons")}]


@database
def test_a_receiver_that_sets_nothing_adds_nothing(slugify, listen):
    slugify()
    received = listen(post_save, sender=Article)
    article = Article.objects.create(title="Tides")
    article.words = 7
    article.save(update_fields=["words"])
    assert received[1].payload["update_fields"] == {"words"}


@database
def test_a_receiver_that_sets_the_value_that_was_there_adds_nothing(receive, listen):
    @receive(pre_save, sender=Article, writes=["price"])
    def price(instance, **kwargs):
        instance.price = "1.0"

    received = listen(post_save, sender=Article)
    article = Article.objects.create()
    Article.objects.get(pk=article.pk).save(update_fields=["words"])
    assert received[1].payload["update_fields"] == {"words"}


@database
def test_a_save_of_all_fields_stays_one(slugify, listen):
    slugify()
    received = listen(post_save, sender=Article)
    Article.objects.create(title="Tides")
    assert received[0].payload["update_fields"] is None


@database
def test_a_save_of_no_fields_stays_one(slugify, listen):
    slugify()
    article = Article.objects.create(title="Tides")
    received = listen(pre_save, sender=Article)
    assert (verbs(lambda: article.save(update_fields=[])), received) == ([], [])


@database
def test_what_the_caller_passed_as_update_fields_is_left_alone(slugify):
    slugify()
    article, names = Article.objects.create(title="Tides"), {"title"}
    article.title = "Moons"
    article.save(update_fields=names)
    assert names == {"title"}


@database
def test_a_field_that_a_receiver_writes_is_saved_where_it_was_deferred(slugify):
    Article.objects.create(title="Tides", slug="old")
    slugify()
    article = Article.objects.only("title").get()
    article.save()
    assert stored(article).slug == "tides"


@database
def test_a_field_that_a_receiver_sets_to_none_is_saved_where_it_was_deferred(receive):
    @receive(pre_save, sender=Article, writes=["author"], when=~created)
    def forget(instance, **kwargs):
        instance.author = None

    Article.objects.create(title="Tides", author=Writer.objects.create())
    article = Article.objects.only("title").get()
    article.save()
    assert stored(article).author is None


@database
def test_a_deferred_field_that_a_receiver_reads_is_not_saved(receive, listen):
    @receive(pre_save, sender=Article, writes=["slug"])
    def read(instance, **kwargs):
        instance.slug  # noqa: B018 - it is loaded

    Article.objects.create(title="Tides", slug="old")
    received = listen(post_save, sender=Article)
    article = Article.objects.only("title").get()
    article.save(update_fields=["title"])
    assert received[0].payload["update_fields"] == {"title"}


@database
@pytest.mark.parametrize("name", ["author", "author_id"])
def test_a_foreign_key_that_a_receiver_writes_is_saved(receive, name):
    ada = Writer.objects.create()

    @receive(pre_save, sender=Article, writes=[name])
    def sign(instance, **kwargs):
        instance.author = ada

    article = Article.objects.create()
    Article.objects.update(author=None)
    article = stored(article)
    article.save(update_fields=["title"])
    assert stored(article).author == ada


@database
def test_a_value_that_a_receiver_changes_in_place_is_saved(receive):
    @receive(pre_save, sender=Article, writes=["labels"])
    def label(instance, **kwargs):
        instance.labels.append("seen")

    article = Article.objects.create()
    article.save(update_fields=["title"])
    assert stored(article).labels == ["seen", "seen"]


@database
def test_several_receivers_write_fields_of_their_own(slugify, receive):
    slugify()

    @receive(pre_save, sender=Article, writes=["words", "price"])
    def count(instance, **kwargs):
        instance.words = len(instance.title)

    article = Article.objects.create(title="Tides")
    article.title = "Moon"
    article.save(update_fields=["title"])
    assert (stored(article).slug, stored(article).words) == ("moon", 4)


@database
def test_a_receiver_that_is_not_due_writes_nothing(slugify):
    slugify(when=changed("title"))
    article = Article.objects.create(title="Tides")
    article.words = 7
    article.save(update_fields=["words"])
    assert stored(article).slug == ""


@database
def test_a_receiver_that_raises_writes_nothing(receive):
    @receive(pre_save, sender=Article, writes=["slug"], when=~created)
    def fail(instance, **kwargs):
        instance.slug = "new"
        raise ZeroDivisionError

    article = Article.objects.create(slug="old")
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        article.save(update_fields=["title"])
    assert stored(article).slug == "old"


@database
def test_a_field_that_an_async_receiver_writes_is_saved(receive):
    @receive(pre_save, sender=Article, writes=["slug"])
    async def slugify(instance, **kwargs):
        instance.slug = instance.title.lower()

    article = Article.objects.create(title="Tides")
    article.title = "Moons"
    article.save(update_fields=["title"])
    assert stored(article).slug == "moons"


@committing
async def test_a_field_that_a_receiver_of_asave_writes_is_saved(slugify, async_database):
    slugify()
    article = await Article.objects.acreate(title="Tides")
    article.title = "Moons"
    await article.asave(update_fields=["title"])
    assert (await Article.objects.aget()).slug == "moons"


@database
def test_a_field_of_a_parent_that_a_receiver_writes_is_saved(receive):
    @receive(pre_save, sender=Novel, subclasses=True, writes=["name"], when=~created)
    def shout(instance, **kwargs):
        instance.name = instance.name.upper()

    audiobook = Audiobook.objects.create(name="Tides")
    audiobook.minutes = 7
    audiobook.save(update_fields=["minutes"])
    assert Audiobook.objects.get().name == "TIDES"


@database
@pytest.mark.parametrize("update_fields", [["title"], frozenset({"title"}), None], ids=["list", "frozenset", "none"])
def test_pre_save_can_be_sent_by_hand_to_a_receiver_that_writes(slugify, update_fields):
    slugify()
    article = Article(title="Tides")

    pre_save.send(sender=Article, instance=article, raw=False, using="default", update_fields=update_fields)
    assert article.slug == "tides"


class Later:
    """A delivery policy that makes no call now."""

    def deliver(self, call):
        """Do nothing."""

    def __repr__(self):
        return "Later()"


@pytest.mark.parametrize("signal", [post_save, pre_delete, m2m_changed], ids=lambda signal: signal.name)
def test_writes_is_refused_on_another_signal_than_pre_save(connect, signal):
    def receives(**kwargs):
        """A receiver."""

    text = f" has writes=, which works on pre_save, not on {title(signal)}."
    with pytest.raises(TypeError, match=f"{re.escape(text)}$"):
        connect(signal, receives, sender=Article, writes=["slug"])


def test_writes_is_refused_for_a_receiver_that_runs_later(connect):
    text = "writes= is for a receiver that runs before the save, and delivery=Later() is later."
    with pytest.raises(TypeError, match=exactly(text)):
        connect(pre_save, takes_changes, sender=Article, writes=["slug"], delivery=Later())


def test_a_field_that_there_is_not_cannot_be_written(connect):
    text = "writes=['slgu']: app.Article has no field 'slgu'. Did you mean 'slug'?"
    with pytest.raises(FieldDoesNotExist, match=exactly(text)):
        connect(pre_save, takes_changes, sender=Article, writes=["slgu"])


@database
def test_writes_takes_a_single_name(slugify):
    slugify(writes="slug")
    article = Article.objects.create(title="Tides")
    article.title = "Moons"
    article.save(update_fields=["title"])
    assert stored(article).slug == "moons"


def test_a_field_that_a_receiver_both_writes_and_keeps_is_refused(slugify):
    problem = r"in writes=, so that a save stores it, and in keeps=, so that none does\. Leave it out of one of them\."
    with pytest.raises(TypeError, match=rf"slugify .*has 'slug' {problem}$"):
        slugify(keeps=["slug", "words"])
