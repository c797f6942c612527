"""Explain: what is known of a write before it is made, as people read it."""

import json

import django
import pytest

from heliograph import (
    BeforeCommit,
    BeforeWrite,
    Durable,
    Inline,
    OnCommit,
    OnRollback,
    changed,
    created,
    explain,
    has,
    mute,
    raw,
)
from heliograph.building import DeclaredBy
from heliograph.dispatch.inspection import connections_to
from heliograph.flow.stories.expected_receivers import Verdict
from heliograph.recipes import stamp
from heliograph.signals import (
    m2m_changed,
    m2m_changes,
    post_delete,
    post_init,
    post_save,
    post_update,
    pre_init,
    pre_save,
)
from tests.app.models import Article, Branch, Country, Desk, Essay, Loan, Novel, Page, Ticket, Writer

# No test here may ask a database: pytest-django refuses that without a mark.
HERE = "tests/flow/test_explain.py"


def lines(story):
    """Return the lines of a story, each without the lines and files that change with this one."""
    return str(story).splitlines()


def verdict_of(story, name):
    """Return what a story says of the only receiver with a name: the verdict and the reason."""
    (one,) = [one for one in (*story.receivers(), *story.not_called) if one.name == name]
    return one.verdict, one.reason


@pytest.fixture
def condition(receive):
    """Connect a receiver with a condition to post_save of articles; return what is said of it, by the story."""

    def verdict(when, operation="update", **options):
        @receive(post_save, sender=Article, when=when)
        def ask(**kwargs):
            raise AssertionError("Nobody calls it.")

        found = verdict_of(explain(Article, operation, **options), "ask")
        post_save.disconnect(ask, sender=Article)
        return found

    return verdict


# --- the text -----------------------------------------------------------------------------------------------------


def test_a_story_has_the_chapters_of_a_save_in_their_order(receive):
    @receive(pre_save, sender=Article, writes=["slug"])
    def name_it(**kwargs):
        """Name a new article in addresses."""

    @receive(post_save, sender=Article, when=changed("words"), delivery=BeforeCommit())
    def count_words(**kwargs): ...

    @receive(post_save, sender=Article)
    async def push(**kwargs): ...

    @receive(post_save, sender=Article, when=created & ~raw, delivery=OnCommit())
    def welcome(**kwargs): ...

    @receive(post_save, sender=Article, delivery=Durable(queue="mail"))
    def send_mail(**kwargs): ...

    @receive(post_save, sender=Article, delivery=OnRollback())
    def regret(**kwargs): ...

    first = [where.__code__.co_firstlineno for where in (name_it, count_words, push, welcome, send_mail, regret)]
    at = [f"{HERE}:{number}" for number in first]
    assert lines(explain(Article, "update")) == [
        "app.Article update: from what is connected; nothing was run.",
        "",
        f" 1 pre_save             name_it      {at[0]}  writes=['slug']",
        "                          Name a new article in addresses.",
        " 2 UPDATE app_article",
        " 3 before the commit    (in the transaction of the row)",
        f"                        count_words  {at[1]}",
        "                          if changed('words'), delivery=BeforeCommit()",
        " 4 COMMIT               with the deliveries of the calls in a worker",
        f" 5 post_save            push         {at[2]}  async",
        f" 6 in a worker          send_mail    {at[4]}  delivery=Durable(queue='mail')",
        f"   if rolled back       regret       {at[5]}  delivery=OnRollback()",
        f"   not called           welcome      {at[3]}  when=created & ~raw, and created is False",
        "",
        "Inside atomic(), post_save (5) comes right after the row (2); 3 and what follows come when the outermost"
        " block",
        "  ends.",
        "bulk_create(), bulk_update() and update() of a query call no receiver: none has bulk=True.",
        "Nothing is sent by raw SQL, by triggers, or by _raw_delete().",
    ]


def test_a_call_for_a_batch_of_the_write_has_its_own_chapter_only_in_autocommit(receive):
    @receive(post_save, sender=Article, order=1)
    def first(**kwargs): ...

    @receive(post_save, sender=Article, order=2, delivery=Inline(batch=True))
    def second(batch, **kwargs): ...

    @receive(post_save, sender=Article, order=3)
    def third(**kwargs): ...

    story = explain(Article, "create")

    assert [one.name for one in story.receivers()] == ["second", "first", "third"]
    assert [one.name for one in story.receivers(atomic=True)] == ["first", "second", "third"]
    assert "with the receivers of 3 among its own" in str(story)


def test_no_line_is_longer_than_a_screen_is_wide(receive):
    fields = [field.name for field in Article._meta.concrete_fields]

    @receive(pre_save, sender=Article, when=created | changed(*fields), delivery=BeforeWrite(), bulk=True)
    def a_receiver_with_a_name_that_is_much_longer_than_most_names_of_receivers(batch, **kwargs):
        """Say what it does in a sentence that nobody has ever cut, because nobody has ever printed it on paper."""

    assert max(map(len, lines(explain(Article, values={"title": "long" * 40})))) <= 110


def test_a_story_of_loading_is_there_if_somebody_receives_it(receive):
    assert "pre_init" not in str(explain(Article))

    @receive([pre_init, post_init], sender=Article)
    def look(**kwargs): ...

    assert lines(explain(Article))[2].startswith(" 1 pre_init, post_init  (whenever an instance is made or loaded)")


def test_nothing_is_run(receive):
    called = []

    def is_asked(**kwargs):
        called.append("condition")

    @receive([pre_init, post_init, pre_save, post_save], sender=Ticket)
    def record(**kwargs):
        called.append("receiver")

    receive(post_save, sender=Ticket, when=is_asked & has(state="new"))(record)
    for operation in ("save", "create", "update", "delete"):
        str(explain(Ticket, operation))
    str(explain(Ticket, "update", values={"state": "new"}))

    assert called == []


def test_the_rows_of_a_child_are_written_after_the_rows_of_its_parents():
    assert " 2 INSERT app_post, app_pinned" in lines(explain("app.Pinned", "create"))


def test_a_model_of_a_relation_says_that_django_sends_nothing():
    story = explain(Novel.genres.through, "create")

    assert "Django sends no signal for the rows of a relation that are saved" in str(story)
    assert story.receivers() == []


def test_bulk_writes_are_one_line(receive):
    @receive([pre_save, post_save], sender=Article, bulk=True)
    def each(**kwargs): ...

    @receive(post_update, sender=Article)
    def log(batch, **kwargs): ...

    assert "bulk_create(), bulk_update() and update() of a query call each, log (post_update)." in lines(
        explain(Article)
    )


# --- verdicts -----------------------------------------------------------------------------------------------------


def test_a_condition_that_the_operation_decides_is_decided(condition):
    assert condition(created & ~raw, "create") == (Verdict.CALLED, "")
    assert condition(created & ~raw) == (Verdict.NOT_CALLED, "when=created & ~raw, and created is False")
    assert condition(created, "save") == (Verdict.PERHAPS, "only if the row is new")
    assert condition(~created, "save") == (Verdict.PERHAPS, "only if the row is there already")
    assert condition(raw, "save") == (Verdict.NOT_CALLED, "when=raw, and raw is False")
    assert condition(changed("title"), "create") == (
        Verdict.NOT_CALLED,
        "when=changed('title'), and changed('title') is False: the row is new",
    )


def test_a_save_says_how_the_call_depends_on_the_row(condition):
    assert condition(created | changed("title"), "save")[1] == "if the row is new, or if changed('title')"
    assert (
        condition(~created & changed("title"), "save")[1] == "only if the row is there already, and if changed('title')"
    )
    assert condition(created & has(words=1), "save")[1] == "only if the row is new, and if has(words=1)"
    assert condition(has(words=1) | changed("title"), "save")[1] == (
        "if has(words=1), or if has(words=1) | changed('title')"
    )


def test_a_change_to_the_value_that_is_set_depends_on_the_row(condition):
    reason = "if changed('title', to='new') (title is set to 'new')"

    assert condition(changed("title", to="new"), values={"title": "new"}) == (Verdict.PERHAPS, reason)


def test_a_change_to_another_value_than_is_set_is_none(condition):
    verdict, reason = condition(changed("title", to="old"), values={"title": "new"})

    assert verdict is Verdict.NOT_CALLED
    assert reason.endswith("changed('title', to='old') is False: title is set to 'new'")


def test_a_field_that_is_left_alone_does_not_change(condition):
    verdict, reason = condition(changed("words"), values={"title": "new"})

    assert verdict is Verdict.NOT_CALLED
    assert reason.endswith("changed('words') is False: left alone: words")


def test_a_field_that_is_left_alone_may_be_set_by_a_receiver_before(condition, receive):
    @receive(pre_save, sender=Article)
    def meddle(**kwargs): ...

    assert condition(changed("words"), values={"title": "new"}) == (
        Verdict.PERHAPS,
        "if changed('words') (left alone: words, unless something sets it before the row is written)",
    )


def test_a_receiver_that_says_what_it_writes_may_set_that_alone(condition, receive):
    @receive(pre_save, sender=Article, writes=["slug"])
    def name_it(**kwargs): ...

    assert condition(changed("words"), values={"title": "new"})[0] is Verdict.NOT_CALLED


def test_a_receiver_that_is_not_called_sets_nothing(condition, receive):
    @receive(pre_save, sender=Article, when=created)
    def only_new(**kwargs): ...

    assert condition(changed("words"), values={"title": "new"})[0] is Verdict.NOT_CALLED


def test_a_field_that_django_fills_at_each_save_may_change(condition):
    assert condition(changed("updated"), values={"title": "new"})[0] is Verdict.PERHAPS


def test_a_value_that_is_set_is_known(condition):
    assert condition(has(words=3), values={"words": "3"})[0] is Verdict.CALLED
    assert condition(has(words=[1, 2]), values={"words": 3}) == (
        Verdict.NOT_CALLED,
        "when=has(words=[1, 2]), and has(words=[1, 2]) is False: words is set to 3",
    )
    assert condition(has(words=3, title="x"), values={"words": 3})[0] is Verdict.PERHAPS
    assert condition(has(words=4, title="x"), values={"words": 3})[0] is Verdict.NOT_CALLED


def test_a_function_is_a_condition_that_nobody_knows_before(condition):
    def is_paid(**kwargs):
        raise AssertionError("Nobody asks it.")

    assert condition(is_paid) == (Verdict.PERHAPS, "if is_paid")
    assert condition(created & is_paid)[0] is Verdict.NOT_CALLED
    assert condition(~created & is_paid) == (Verdict.PERHAPS, "if is_paid")
    assert condition(~created | is_paid)[0] is Verdict.CALLED


def test_a_deletion_changes_every_field(receive):
    @receive(post_delete, sender=Country, when=changed("name"))
    def of_any(**kwargs): ...

    @receive(post_delete, sender=Country, when=changed("name", was="x"))
    def of_one(**kwargs): ...

    @receive(post_delete, sender=Country, when=changed("name", to="x"))
    def of_none(**kwargs): ...

    story = explain(Country, "delete")

    assert verdict_of(story, "of_any")[0] is Verdict.CALLED
    assert verdict_of(story, "of_one")[0] is Verdict.PERHAPS
    assert verdict_of(story, "of_none")[0] is Verdict.NOT_CALLED


def test_a_muted_receiver_is_not_called_and_the_line_is_there(receive):
    @receive(post_save, sender=Article)
    def silent(**kwargs): ...

    with mute(silent):
        verdict, reason = verdict_of(explain(Article), "silent")

    assert verdict is Verdict.NOT_CALLED
    assert reason.startswith(f"muted by mute(), entered at {HERE}:")


def test_a_receiver_of_another_database_is_not_called(receive):
    @receive(post_save, sender=Article, using="other")
    def elsewhere(**kwargs): ...

    assert verdict_of(explain(Article), "elsewhere") == (
        Verdict.NOT_CALLED,
        "using=('other',), and the send is about 'default'",
    )
    assert verdict_of(explain(Article, using="other"), "elsewhere") == (Verdict.CALLED, "")


def test_a_value_that_is_a_secret_is_not_shown(settings):
    settings.HELIOGRAPH = {"SENSITIVE_FIELDS": ["title"]}

    assert lines(explain(Article, "update", values={"title": "swordfish"}))[0] == (
        "app.Article update (title=(hidden)): from what is connected; nothing was run."
    )


# --- declarations -------------------------------------------------------------------------------------------------


@pytest.fixture
def declared():
    """Undo declarations after a test."""
    found = []
    yield found.append
    for one in found:
        one.disconnect()


def test_a_recipe_is_shown_as_it_was_declared_and_where(declared):
    declared(stamp(Article, "published", when=changed("title")))

    story = explain(Article, "update")

    (one,) = story.receivers()
    assert one.declared == "stamp(app.Article, 'published', when=changed('title'))"
    assert one.where.startswith(f"{HERE}:")
    assert "writes=['published']" in str(story)


def test_a_library_says_by_what_it_has_connected_a_receiver(receive):
    fact = DeclaredBy("numbered('shop.Order')", "/shop/models.py:7", lambda: ["shop.Order.number"])

    @receive(pre_save, sender=Article, subclasses=True, facts=(fact,))
    def number(**kwargs):
        """Number a row, which is no sentence for the users of the library."""

    (one,) = explain(Article).receivers()
    assert (one.declared, one.where, one.writes) == (
        "numbered('shop.Order')",
        "/shop/models.py:7",
        ("shop.Order.number",),
    )
    assert "no sentence" not in str(explain(Article))


def test_a_receiver_of_all_models_says_so(receive):
    @receive(post_save)
    def log(**kwargs): ...

    assert f"log  {HERE}:{log.__code__.co_firstlineno}  any sender" in str(explain(Article))


def test_a_signal_of_another_dispatcher_is_refused():
    with pytest.raises(
        TypeError, match=r"^Heliograph knows the receivers of signals that it runs, and 7 is no such signal"
    ):
        connections_to(7, None)


# --- deletions ----------------------------------------------------------------------------------------------------


def test_a_deletion_says_which_rows_go_which_stay_and_which_refuse(receive):
    @receive(post_delete, sender=Desk)
    def after_desk(**kwargs): ...

    @receive(post_update, sender=Loan)
    def after_loan(batch, **kwargs): ...

    story = explain(Branch, "delete")

    text = " ".join(str(story).split())
    assert "pre_delete for each row of app.Desk, app.Branch" in text
    assert "update() of app.Loan.nulled (SET_NULL), app.Loan.defaulted (SET_DEFAULT)" in text
    assert "app.Loan.fixed (SET('main')), app.Loan.computed (SET(<lambda>))" in text
    assert "refused while app.Loan.protected (PROTECT), app.Loan.restricted (RESTRICT) has rows" in text
    assert [(one.name, one.sender) for one in story.receivers()] == [("after_loan", Loan), ("after_desk", Desk)]


def test_rows_of_a_generic_relation_go_with_their_row():
    assert "with the rows of app.Remark" in str(explain(Essay, "delete"))


@pytest.mark.skipif(django.VERSION < (6, 1), reason="Django 6.1 has DB_CASCADE")
def test_rows_that_the_database_deletes_send_nothing():
    assert "app.Footnote.page (DB_CASCADE)" in str(explain(Page, "delete"))
    assert "Nothing is sent where a row goes with its app.Page: page is DB_CASCADE." in lines(explain("app.Footnote"))


# --- relations ----------------------------------------------------------------------------------------------------


def test_an_addition_has_the_signals_of_its_relation(receive):
    @receive(m2m_changed, sender=Novel.genres.through)
    def both(**kwargs): ...

    @receive(m2m_changes, sender=Novel.genres.through)
    def net(**kwargs): ...

    story = explain(Novel, "add")

    assert [chapter.title for chapter in story.autocommit if chapter.receivers] == [
        "m2m_changed of genres, pre_add",
        "m2m_changed of genres, post_add",
        "m2m_changes of genres",
    ]
    assert "readers.add(): no receiver is called." in lines(story)


def test_a_model_without_a_relation_has_nothing_to_add_to():
    with pytest.raises(
        ValueError, match=r"^app\.Writer has no many-to-many field to which something could be added\.$"
    ):
        explain(Writer, "add")


# --- JSON ---------------------------------------------------------------------------------------------------------


def test_the_json_has_both_orders_and_each_receiver(receive):
    @receive(post_save, sender=Article, delivery=OnCommit(), when=changed("title"))
    def push(**kwargs): ...

    found = json.loads(explain(Article, "update", pk="7", values={"title": "secret"}).to_json())

    assert [found[name] for name in ("version", "model", "operation", "using", "pk", "set")] == [
        1,
        "app.Article",
        "update",
        "default",
        "7",
        ["title"],
    ]
    assert [chapter["kind"] for chapter in found["atomic"]][:3] == ["pre_save", "row", "post_save"]
    (one,) = [one for chapter in found["autocommit"] for one in chapter["receivers"]]
    assert one["receiver"].endswith("push")
    assert (one["verdict"], one["policy"], one["signal"]) == ("perhaps", "OnCommit()", "post_save")


def test_a_thousand_receivers_have_a_line_each(receive):
    def connect(number):
        @receive(post_save, sender=Ticket, when=created)
        def record(**kwargs): ...

        record.__qualname__ = f"record_{number}"
        return record

    kept = [connect(number) for number in range(1000)]

    shown = [line for line in lines(explain(Ticket, "create")) if "record_" in line]
    assert len(shown) == len(kept)
