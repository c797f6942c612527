"""Slugs: unique ones for new rows, however these are written, beside the receiver of tutorials."""

import re
from contextlib import nullcontext
from functools import partial

import pytest
from django.core import serializers
from django.core.management import call_command
from django.db import DataError, IntegrityError, connection, transaction
from django.db.models import F, Value
from django.db.models.functions import Concat
from django.utils.text import slugify

from examples.tutorial.slug import set_slug
from heliograph import BeforeWrite, mute, trace
from heliograph.dispatch import Called
from heliograph.recipes import unique_slug
from heliograph.recipes.declarations import declarations
from heliograph.signals import post_save, pre_save
from tests.app.models import Country, LastSlug, Listing, OldSlug, Post, Region, Saga, Story, StoryProxy, Tale, Verse
from tests.helpers.patched import patched_methods
from tests.helpers.recipes_command import run
from tests.helpers.statements import statements, verbs

pytestmark = pytest.mark.django_db(databases=["default", "other"])

CONSONANTS = "[bcdfghjkmnpqrstvwxz]{6}"


@pytest.fixture
def slugs():
    return unique_slug(Story, "slug", source="title")


def stored(model=Story, using="default"):
    return [*model.objects.using(using).order_by("pk").values_list("slug", flat=True)]


def tea(count=1, **values):
    return [Story(title="Tea", **values) for _ in range(count)]


def past_signals(**values):
    """Insert a row as an import past the ORM's signals would."""
    story = Story(**values)
    with mute(Story):
        story.save()
    return Story.objects.get(pk=story.pk)


# --- each kind of write -------------------------------------------------------------------------------------------

WRITES = {
    "create": lambda: Story.objects.create(title="Tea"),
    "save": lambda: tea()[0].save(),
    "save with a key": lambda: tea(pk=7)[0].save(),
    "get_or_create": lambda: Story.objects.get_or_create(title="Tea"),
    "update_or_create": lambda: Story.objects.update_or_create(title="Tea", defaults={"views": 1}),
    "bulk_create": lambda: Story.objects.bulk_create(tea()),
    "bulk_create in batches": lambda: Story.objects.bulk_create(tea(), batch_size=1),
    "bulk_create that ignores conflicts": lambda: Story.objects.bulk_create(tea(), ignore_conflicts=True),
    "proxy": lambda: StoryProxy.objects.create(title="Tea"),
    "bulk_create of proxies": lambda: StoryProxy.objects.bulk_create([StoryProxy(title="Tea")]),
    "multi-table child": lambda: Saga.objects.create(title="Tea"),
}


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("is_in_atomic", [True, False])
def test_r6_each_new_row_has_a_slug(slugs, write, is_in_atomic):
    with transaction.atomic() if is_in_atomic else nullcontext():
        WRITES[write]()
    assert stored() == ["tea"]


@pytest.mark.parametrize("write", {*WRITES} - {"get_or_create", "update_or_create"})
def test_r6_a_title_that_another_row_has_gets_a_number(slugs, write):
    Story.objects.create(title="tea!")
    WRITES[write]()
    assert sorted(stored()) == ["tea", "tea-2"]


def test_r6_the_instance_has_the_slug_of_its_row(slugs):
    assert [one.slug for one in (Story.objects.create(title="Tea"), *Story.objects.bulk_create(tea(2)))] == stored()


@pytest.mark.django_db(databases=["default", "other"], transaction=True)
async def test_r6_rows_that_async_code_creates_have_slugs(slugs, async_database):
    await Story.objects.acreate(title="Tea")
    await Story.objects.abulk_create(tea(2))
    assert [one async for one in Story.objects.order_by("pk").values_list("slug", flat=True)] == [
        "tea",
        "tea-2",
        "tea-3",
    ]


def test_r6_each_database_has_slugs_of_its_own(slugs):
    Story.objects.create(title="Tea")
    Story.objects.using("other").create(title="Tea")
    Story.objects.using("other").bulk_create(tea())
    assert (stored(), stored(using="other")) == (["tea"], ["tea", "tea-2"])


def test_r6_rows_of_one_bulk_create_have_different_slugs_by_one_query(slugs):
    Story.objects.create(title="Tea")
    made = verbs(lambda: Story.objects.bulk_create([*tea(3), Story(title="Rum"), *tea(1, slug="tea-3")]))
    assert [verb for verb in made if verb in ("SELECT", "INSERT")] == ["SELECT", "INSERT"]
    assert stored() == ["tea", "tea-2", "tea-4", "tea-5", "rum", "tea-3"]


def test_r6_many_rows_with_one_title_have_short_slugs(slugs):
    Story.objects.bulk_create(tea(200))
    Story.objects.create(title="Tea")
    assert [len(one) for one in stored()] == [3, *[5] * 8, *[6] * 90, *[7] * 101, 10]
    assert re.fullmatch(f"tea-{CONSONANTS}", stored()[-1])


def test_r6_many_titles_need_few_queries(slugs):
    made = verbs(lambda: Story.objects.bulk_create([Story(title=f"n{number}") for number in range(200)]))
    assert made.count("SELECT") <= 5


def test_r6_a_number_that_was_given_up_is_used_again(slugs):
    Story.objects.bulk_create(tea(3))
    Story.objects.filter(slug="tea-2").delete()
    assert Story.objects.create(title="Tea").slug == "tea-2"


def test_r6_a_new_row_is_at_most_three_queries_and_an_old_one_is_its_update(slugs):
    queries = ("SELECT", "INSERT", "UPDATE")
    assert [one for one in verbs(lambda: Story.objects.create(title="Tea")) if one in queries][-2:] == [
        "SELECT",
        "INSERT",
    ]
    story = Story.objects.get()
    assert [one for one in verbs(story.save) if one in queries] == ["UPDATE"]
    assert verbs(lambda: Story.objects.update(views=F("views") + 1)) == ["UPDATE"]


# --- what a slug is made of ---------------------------------------------------------------------------------------


def test_r6_letters_of_other_languages_stay_where_the_field_allows_them():
    unique_slug(Tale, "slug", source="title")
    for title in ("Привет, мир", "東京", "Привет мир!"):
        Tale.objects.create(title=title)
    assert stored(Tale) == ["привет-мир", "東京", "привет-мир-2"]


def test_r6_letters_that_the_database_takes_for_the_same_are_the_same():
    unique_slug(Tale, "slug", source="title")
    Tale.objects.create(title="Über")
    Tale.objects.bulk_create([Tale(title="Uber"), Tale(title="Straße"), Tale(title="Strasse")])
    Tale.objects.create(title="Ubér")
    assert len({*stored(Tale)}) == 5


@pytest.mark.parametrize("title", ["🍵", "Привет", "", "--", None])
def test_r6_a_title_without_a_letter_gives_the_name_of_the_model(title):
    unique_slug(Story, "slug", source=lambda story: title)
    Story.objects.bulk_create([Story(), Story()])
    assert stored() == ["story", "story-2"]


def test_r6_a_function_may_write_letters_of_other_languages_in_latin():
    latin = {"я": "ya", "д": "d"}
    unique_slug(
        Story, "slug", source="title", slugify=lambda text: slugify("".join(latin.get(one, one) for one in text))
    )
    Story.objects.create(title="яд")
    assert stored() == ["yad"]


def test_r6_a_slug_is_never_longer_than_its_field(slugs):
    title = "A very long story indeed"
    Story.objects.bulk_create([Story(title=title) for _ in range(11)])
    assert stored()[:2] == ["a-very-long-story-in", "a-very-long-story-2"]
    assert stored()[10] == "a-very-long-story-11"
    assert Story.objects.create(title="A very long story, the second").slug == "a-very-long-story-th"


def test_r6_a_source_may_be_a_function_of_the_row():
    unique_slug(Story, "slug", source=lambda story: f"{story.title} {story.views}")
    assert Story.objects.create(title="Tea", views=5).slug == "tea-5"


def test_r6_a_function_that_leaves_no_word_gives_the_name_of_the_model():
    unique_slug(Story, "slug", source="title", slugify=lambda text: "-" * 30)
    assert Story.objects.create().slug == "story"


def test_r6_reserved_slugs_are_left_out():
    unique_slug(Story, "slug", source="title", reserved={"new", "Admin"})
    for title in ("New", "admin", "Newer"):
        Story.objects.create(title=title)
    assert stored() == ["new-2", "admin-2", "newer"]


def test_r6_a_source_that_only_the_database_knows_is_an_error_that_says_so(slugs):
    with pytest.raises(TypeError) as raised:
        Story.objects.create(title=Concat(Value("a"), Value("b")))
    assert str(raised.value) == (
        "app.Story.slug cannot be made of Concat(ConcatPair(Value('a'), Value('b'))), whose value is known only to the"
        " database. Give the row a slug."
    )
    assert Story.objects.create(title=Concat(Value("a"), Value("b")), slug="ab").slug == "ab"


# --- among which rows it is unique --------------------------------------------------------------------------------


def test_r6_a_slug_is_unique_in_the_scope_of_unique_together():
    unique_slug(Verse, "slug", source="title")
    one, other = (Story.objects.create(slug=slug) for slug in ("a", "b"))
    Verse.objects.create(story=one, title="Tea")
    Verse.objects.bulk_create([Verse(story=story, title="Tea") for story in (one, other, None, other)])
    Verse.objects.create(story_id=str(other.pk), title="Tea")
    Verse.objects.create(title="Tea")
    found = {one: [] for one in ("a", "b", None)}
    for story, slug in Verse.objects.order_by("pk").values_list("story__slug", "slug"):
        found[story].append(slug)
    assert found == {"a": ["tea", "tea-2"], "b": ["tea", "tea-2", "tea-3"], None: ["tea", "tea-2"]}


def test_r6_a_slug_is_unique_among_the_rows_that_meet_the_condition_of_its_constraint():
    unique_slug(Listing, "slug", source="title")
    first = Listing.objects.create(title="Tea")
    assert Listing.objects.create(title="Tea").slug == "tea-2"
    Listing.objects.filter(pk=first.pk).update(is_gone=True)
    assert Listing.objects.create(title="Tea").slug == "tea"


# --- slugs that are given -----------------------------------------------------------------------------------------


def test_r6_a_slug_that_a_row_brings_is_kept(slugs):
    Story.objects.create(title="Tea", slug="mine")
    Story.objects.bulk_create([Story(title="Tea", slug="yours")])
    assert stored() == ["mine", "yours"]


@pytest.mark.parametrize(
    "write",
    [lambda: Story.objects.create(slug="tea"), lambda: Story.objects.bulk_create(tea(slug="tea"))],
    ids=["create", "bulk_create"],
)
def test_r6_a_slug_that_a_row_brings_and_another_has_is_an_error(slugs, write):
    Story.objects.create(title="Tea")
    with pytest.raises(IntegrityError), transaction.atomic():
        write()
    assert stored() == ["tea"]


def test_r6_an_error_that_is_not_about_the_slug_is_raised(slugs):
    story = Story.objects.create(title="Tea")
    for write in (
        lambda: Story(pk=story.pk, title="Rum").save(force_insert=True),
        lambda: Story.objects.bulk_create([Story(pk=story.pk, title="Rum")]),
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            write()
    assert stored() == ["tea"]


def test_r6_a_slug_that_another_writer_takes_in_the_last_moment_gets_a_random_suffix(slugs, receive):
    @receive(pre_save, sender=Story, bulk=True, order=1, delivery=BeforeWrite())
    def overtake(sender, batch, **kwargs):
        past_signals(slug=batch.instances[0].slug)

    one = Story.objects.create(title="Tea")
    (other,) = Story.objects.bulk_create([Story(title="Rum")])
    assert re.fullmatch(f"tea-{CONSONANTS}", one.slug)
    assert re.fullmatch(f"rum-{CONSONANTS}", other.slug)
    assert stored() == ["tea", one.slug, "rum", other.slug]


def test_r6_a_slug_in_the_table_of_a_child_that_another_writer_takes_gets_a_random_suffix(receive):
    unique_slug(Saga, "shelf", source="title")

    @receive(pre_save, sender=Saga, order=1, delivery=BeforeWrite())
    def overtake(sender, batch, **kwargs):
        with mute(Saga):
            Saga.objects.create(shelf="tea")

    saga = Saga.objects.create(title="Tea")
    assert re.fullmatch(f"tea-{CONSONANTS}", Saga.objects.get(pk=saga.pk).shelf)


def test_r6_fixtures_are_left_alone(slugs, tmp_path):
    fixture = tmp_path / "stories.json"
    fixture.write_text(serializers.serialize("json", [Story(pk=5, title="Tea", slug=None)]))
    call_command("loaddata", fixture, verbosity=0)
    assert stored() == [None]


def test_r6_a_save_that_was_rolled_back_may_be_repeated(slugs):
    story = Story(title="Tea")
    with transaction.atomic():
        story.save()
        transaction.set_rollback(True)
    Story.objects.create(title="Tea")
    story.pk, story._state.adding = None, True
    story.save()
    assert stored() == ["tea", story.slug] == ["tea", "tea-2"]


def test_r6_a_row_whose_slug_is_emptied_gets_another_one(slugs):
    story = Story.objects.create(title="Tea")
    story.title, story.slug = "Black tea", ""
    story.save(update_fields=["title"])
    assert (story.slug, stored()) == ("", ["tea"])
    story.save()
    assert (story.slug, stored()) == ("black-tea", ["black-tea"])
    story.slug = None
    story.save(update_fields=["slug"])
    assert stored() == ["black-tea"]


def test_r6_a_row_keeps_its_slug_when_its_title_changes(slugs):
    story = Story.objects.create(title="Tea")
    story.title = "Rum"
    story.save()
    Story.objects.update(title="Gin")
    Story.objects.bulk_update([story], ["title"])
    assert stored() == ["tea"]


# --- slugs that follow the title ----------------------------------------------------------------------------------

CHANGES = {
    "save": lambda story: story.save(),
    "save(update_fields)": lambda story: story.save(update_fields=["title"]),
    "bulk_update": lambda story: Story.objects.bulk_update([story], ["title"]),
    "update": lambda story: Story.objects.filter(pk=story.pk).update(title=story.title),
    "update of an expression": lambda story: Story.objects.filter(pk=story.pk).update(
        title=Concat(Value(story.title[0]), Value(story.title[1:]))
    ),
    "save of a proxy": lambda story: StoryProxy(pk=story.pk, title=story.title, slug=story.slug).save(),
}


@pytest.fixture
def renewed():
    return unique_slug(Story, "slug", source="title", renew=True, history=OldSlug)


def titled(story, title):
    story.title = title
    return story


@pytest.mark.parametrize("change", CHANGES)
def test_r6_a_slug_follows_the_title_where_that_is_asked_for_and_the_old_one_is_remembered(renewed, change):
    Story.objects.create(title="Rum")
    story = Story.objects.get(pk=Story.objects.create(title="Tea").pk)
    for title in ("Rum", "Gin", "Rum", "Rum!"):
        CHANGES[change](titled(story, title))
        story.refresh_from_db(fields=["slug"])
    assert stored() == ["rum", "rum-2"]
    assert [*OldSlug.objects.order_by("pk").values_list("slug", "story")] == [
        ("tea", story.pk),
        ("rum-2", story.pk),
        ("gin", story.pk),
    ]


def test_r6_an_instance_has_the_slug_that_follows_and_can_be_saved_again(renewed):
    story = Story.objects.create(title="Tea")
    titled(story, "Rum").save()
    assert story.slug == "rum"
    titled(story, "Gin").save()
    story.save()
    assert (story.slug, stored()) == ("gin", ["gin"])
    assert [*OldSlug.objects.order_by("pk").values_list("slug", flat=True)] == ["tea", "rum"]


def test_r6_a_slug_that_fits_the_new_title_is_not_written(renewed):
    story = Story.objects.create(title="Tea")
    made = statements(lambda: titled(story, "Tea!").save(update_fields=["title"]))
    assert [one for one in made if one.startswith("UPDATE") and "slug" in one] == []


def test_r6_many_rows_with_a_new_title_have_different_slugs(renewed):
    Story.objects.bulk_create([Story(title=f"n{number}") for number in range(4)])
    Story.objects.update(title="Tea")
    assert sorted(stored()) == ["tea", "tea-2", "tea-3", "tea-4"]
    assert OldSlug.objects.count() == 4


def test_r6_a_slug_that_is_changed_along_with_the_title_is_kept(renewed):
    story = Story.objects.create(title="Tea")
    story.slug = "mine"
    titled(story, "Rum").save()
    assert stored() == ["mine"]
    assert OldSlug.objects.get().slug == "tea"


def test_r6_a_slug_that_another_writer_takes_while_it_follows_gets_a_random_suffix(renewed, connect):
    story = Story.objects.create(title="Tea")

    def overtake(sender, instance, **kwargs):
        if instance.slug == "rum":
            past_signals(slug="rum")

    connect(pre_save, overtake, sender=Story, bulk=True)
    titled(story, "Rum").save()
    assert re.fullmatch(f"rum-{CONSONANTS}", Story.objects.get(pk=story.pk).slug)


def test_r6_a_rollback_takes_the_new_slug_and_its_history(renewed):
    story = Story.objects.create(title="Tea")
    with transaction.atomic():
        titled(story, "Rum").save()
        transaction.set_rollback(True)
    assert (stored(), OldSlug.objects.count()) == (["tea"], 0)


# --- the declaration ----------------------------------------------------------------------------------------------


def test_r18_disconnected_it_leaves_no_patch_and_no_receiver(no_kept_error):
    before = patched_methods(), [*pre_save.receivers], [*post_save.receivers]
    declaration = unique_slug("app.Story", "slug", source="title", renew=True, history="app.OldSlug")
    assert (declaration.disconnect(), declaration.disconnect()) == (True, False)
    assert (patched_methods(), pre_save.receivers, post_save.receivers) == before
    Story.objects.create(title="Tea")
    assert stored() == [None]


def test_r18_muted_it_does_nothing(slugs):
    with mute(Story):
        Story.objects.create(title="Tea")
    assert stored() == [None]


def test_r18_it_is_seen_by_a_trace(slugs):
    with trace() as traced:
        Story.objects.create(title="Tea")
    assert "unique_slug(app.Story.slug)" in [one.receiver.__name__ for one in traced.events if isinstance(one, Called)]


def test_a_declaration_reads_as_it_was_written():
    text = unique_slug(Story, "slug", source="title", reserved={"b", "a"}, renew=True, history=OldSlug).text
    assert (
        text == "unique_slug(app.Story, 'slug', source='title', reserved=['a', 'b'], renew=True, history=app.OldSlug)"
    )


@pytest.mark.parametrize(
    ("declare", "text"),
    [
        (
            partial(unique_slug, Story, "slgu", source="title"),
            "unique_slug(app.Story, 'slgu', source='title'): app.Story has no field 'slgu' with a column."
            " Did you mean 'slug'?",
        ),
        (partial(unique_slug, Story, "views", source="title"), "app.Story.views is a IntegerField, and no CharField."),
        (
            partial(unique_slug, Story, "title", source="slug"),
            "unique_slug(app.Story, 'title', source='slug'): nothing keeps 'title' unique, so two transactions might"
            " both insert one slug. Let it have unique=True, or add UniqueConstraint(fields=[..., 'title'], name=...).",
        ),
        (
            partial(unique_slug, Story, "slug", source="titel"),
            "app.Story has no field 'titel' with a column. Did you mean 'title'?",
        ),
        (partial(unique_slug, Story, "slug", source="slug"), "source= is the slug itself."),
        (
            partial(unique_slug, Story, "slug", source=5),
            "source= takes the name of a field, or a function of the row, not 5.",
        ),
        (
            partial(unique_slug, Story, "slug", source=str, renew=True),
            "renew=True needs the name of a field as source=, whose changes are known.",
        ),
        (
            partial(unique_slug, Saga, "shelf", source="title", renew=True),
            "'title' is a column of app.Story, whose writes need not be writes of app.Saga. With renew=True, both are"
            " fields of one table.",
        ),
        (
            partial(unique_slug, Country, "code", source="name"),
            "'code' is the primary key, to which other rows refer. Take a field of its own.",
        ),
        (
            partial(unique_slug, Region, "code", source="name"),
            "'code' has max_length=5, which leaves no room for a suffix. Let it have 8 at least.",
        ),
        (
            partial(unique_slug, Story, "slug", source="title", history=LastSlug),
            "rows of app.Story may have had one slug, one after the other. Let app.LastSlug have"
            " UniqueConstraint(fields=['slug', 'story'], name=...), and no unique 'slug'.",
        ),
        (
            partial(unique_slug, Story, "slug", source="title", history=Post),
            "app.Post has no field 'slug' with a column.",
        ),
        (
            partial(unique_slug, Story, "slug", source="title", history=Tale),
            "app.Tale needs one foreign key to app.Story, and has 0.",
        ),
        (
            partial(unique_slug, Story, "slug", source="title", reserved="admin"),
            "reserved= takes several slugs, not 'admin'.",
        ),
        (
            partial(unique_slug, Story, "slug", source="title", slugify="x"),
            "slugify= takes a function of a text, not 'x'.",
        ),
    ],
)
def test_a_declaration_that_cannot_be_right_is_refused_where_it_stands(declare, text):
    with pytest.raises(TypeError, match=re.escape(text)):
        declare()
    assert declarations == []


def test_a_slug_that_has_a_declaration_is_refused_with_its_line(slugs):
    with pytest.raises(TypeError, match=re.escape(f"'slug' has a declaration already, at {slugs.line}.")):
        unique_slug(Story, "slug", source="views")


# --- rows that are older ------------------------------------------------------------------------------------------


def test_r6_verify_names_the_rows_without_a_slug_and_repair_gives_them_one():
    old, empty = past_signals(title="Tea"), past_signals(title="Tea", slug="")
    unique_slug(Story, "slug", source="title")
    Story.objects.create(title="Tea")
    lines = [f"app.Story.slug of {one.pk} is missing, not a slug" for one in (old, empty)]
    assert run("verify") == (1, [*lines, "1 verified, 2 wrong"])
    assert run("backfill") == (0, ["1 verified, 2 filled"])
    assert run("verify") == (0, ["1 verified, 0 wrong"])
    assert stored() == ["tea-2", "tea-3", "tea"]


# --- the receiver of tutorials ------------------------------------------------------------------------------------


@pytest.fixture
def tutorial(connect):
    connect(pre_save, set_slug, sender=Story)


def test_control_r6_the_tutorials_receiver_is_not_called_for_bulk_create_and_proxies(tutorial):
    Story.objects.bulk_create(tea())
    StoryProxy.objects.create(title="Tea")
    Saga.objects.create(title="Tea")
    assert stored() == [None, None, None]


def test_control_r6_the_tutorials_receiver_gives_emoji_an_empty_slug(tutorial):
    Story.objects.create(title="🍵")
    assert stored() == [""]


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite does not limit the length of texts")
def test_control_r6_the_tutorials_receiver_makes_slugs_that_are_too_long(tutorial):
    with pytest.raises(DataError), transaction.atomic():
        Story.objects.create(title="A very long story indeed")


def test_control_r6_the_tutorials_receiver_uses_the_default_database(tutorial):
    Story.objects.using("other").create(title="Tea")
    with pytest.raises(IntegrityError), transaction.atomic("other"):
        Story.objects.using("other").create(title="Tea")


def test_control_r6_the_tutorials_receiver_changes_fixtures(tutorial, tmp_path):
    fixture = tmp_path / "stories.json"
    fixture.write_text(serializers.serialize("json", [Story(pk=5, title="Tea", slug=None)]))
    call_command("loaddata", fixture, verbosity=0)
    assert stored() == ["tea"]


def test_the_statement_looks_up_whole_slugs_which_an_index_finds(slugs):
    made = statements(lambda: Story.objects.create(title="Tea"))
    (asked,) = [one for one in made if one.startswith("SELECT")]
    assert "LIKE" not in asked
    assert " IN (" in asked
