"""An analysis: a write is made as in production, everything that it causes is seen, and nothing of it stays."""

import json
import re
import sys

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.contrib.contenttypes.models import ContentType
from django.core import mail
from django.core.cache import cache
from django.core.mail import EmailMessage
from django.db import IntegrityError, OperationalError, connection, transaction
from django.db.transaction import TransactionManagementError

from heliograph import BeforeCommit, Durable, OnCommit, changed, created
from heliograph.audit import audit
from heliograph.flow.analyzing import analysis as analyzing
from heliograph.flow.analyzing.analysis import analyze
from heliograph.flow.analyzing.analysis_facts import ChangedField, HeldFunction, SavedRow, StoredDelivery
from heliograph.flow.asked_writes import AskedWrite, asked_write
from heliograph.outbox.models import Delivery
from heliograph.recipes import normalize
from heliograph.signals import m2m_changed, post_delete, post_save, pre_delete, pre_save
from tests.app.models import Article, Branch, Seat
from tests.app.models_of_books import Genre, Novel, Reading
from tests.helpers.patched import patched_methods

pytestmark = pytest.mark.django_db(transaction=True, databases="__all__")

SLOW = {"postgresql": "SELECT pg_sleep(60)", "mysql": "SELECT SLEEP(60)"}


def deliver(**kwargs):
    """A receiver that a worker can find."""


@pytest.fixture
def project(receive):
    """Connect receivers of each policy, two of which write, and return the list of the calls that they make."""
    called = []

    def called_at(name, action=lambda: None):
        def record(instance=None, batch=None, **kwargs):
            called.append((name, type(instance).__name__ if batch is None else len(batch.events)))
            action()

        record.__qualname__ = name
        return record

    save_genre = Genre.objects.create
    receive(pre_save, sender=Article)(called_at("first"))
    receive(post_save, sender=Article, delivery=BeforeCommit())(called_at("before the commit", save_genre))
    receive([post_save, post_delete], sender=Article, delivery=BeforeCommit(batch=True))(called_at("batch"))
    receive(post_save, sender=Article, when=changed("words"))(called_at("of words"))
    receive(post_save, sender=Article)(called_at("at once", save_genre))
    receive(post_save, sender=Genre, when=created)(called_at("of genre"))
    receive(post_save, sender=Genre, delivery=BeforeCommit(batch=True))(called_at("batch of genres"))
    receive([pre_delete, post_delete], sender=Article)(called_at("of deletion"))
    receive(post_save, sender=Article, delivery=Durable(queue="mail"))(deliver)
    return called


WRITES = {
    "create": (AskedWrite(Article, "create"), lambda: Article().save(force_insert=True)),
    "save": (AskedWrite(Article), lambda: Article.objects.latest("pk").save()),
    "update": (AskedWrite(Article, "update", values={"words": 3}), lambda: update(Article.objects.latest("pk"))),
    "delete": (AskedWrite(Article, "delete"), lambda: Article.objects.latest("pk").delete()),
}


def update(article):
    article.words = 3
    article.save()


@pytest.mark.parametrize("operation", WRITES)
def test_v1_what_runs_is_what_runs_in_production_and_nothing_of_it_stays(project, operation):
    asked, in_production = WRITES[operation]
    article = Article.objects.create(words=1)
    before = rows()

    project.clear()
    analyzed = analyze(asked)
    of_analysis = [*project]
    assert rows() == before

    project.clear()
    in_production()
    assert of_analysis == project != []
    assert len(analyzed.deliveries) == Delivery.objects.count() - 1
    assert article.words == 1


def rows():
    return [[*model.objects.order_by("pk").values()] for model in (Article, Genre, Delivery)]


def test_v1_caches_mails_and_what_is_called_after_the_commit_are_as_before(receive):
    cache.set("kept", 1)

    @receive(post_save, sender=Article)
    def act(**kwargs):
        cache.set("kept", 2)
        EmailMessage("Hello", "", "shop@example.org", ["ada@example.org"]).send()
        transaction.on_commit(never)

    @receive(post_save, sender=Article, delivery=OnCommit())
    def after(**kwargs):
        raise AssertionError("It is called.")

    def never():
        raise AssertionError("It is called.")

    analyzed = analyze(AskedWrite(Article, "create"))

    assert (cache.get("kept"), mail.outbox, Article.objects.count()) == (1, [], 0)
    assert [(effect.kind, effect.receiver) for effect in analyzed.held] == [("cache", act), ("mail", act)]
    assert analyzed.after_commit == (
        HeldFunction(after, "default", is_receiver=True),
        HeldFunction(never, "default", is_receiver=False),
    )
    cache.delete("kept")


def test_what_is_not_undone_is_named_with_its_receiver(receive, tmp_path):
    @receive(post_save, sender=Article, delivery=BeforeCommit())
    def write_file(**kwargs):
        (tmp_path / "file").write_text("a")

    analyzed = analyze(AskedWrite(Article, "create"), hook=True)

    [effect] = [effect for effect in analyzed.not_undone if effect.kind == "file"]
    assert (effect.text, effect.receiver) == (f"file {tmp_path / 'file'} is written", write_file)
    sequences = [effect.text for effect in analyzed.not_undone if effect.kind == "sequence"]
    assert sequences == ([] if connection.vendor == "sqlite" else ["sequence of app_article.id"])
    assert re.search(
        rf"not undone .*file {tmp_path}/file is written .*tests/flow/test_analysis.py:\d+ .*by write_file",
        no_lines(analyzed),
    )


def no_lines(analyzed):
    return " ".join(str(analyzed).split())


# --- which row --------------------------------------------------------------------------------------------------


def test_the_row_with_the_key_is_written_and_without_a_key_the_newest(receive):
    seen = []

    @receive(post_save, sender=Article)
    def look(instance, **kwargs):
        seen.append(instance.pk)

    one, other = Article.objects.create(), Article.objects.create()
    seen.clear()
    analyze(AskedWrite(Article, "save", pk=one.pk))
    analyze(AskedWrite(Article, "save"))
    assert seen == [one.pk, other.pk]


def test_a_row_that_there_is_not_is_refused():
    with pytest.raises(LookupError, match=r"^app\.Article has no row with the primary key 4711 on 'default': ask for"):
        analyze(AskedWrite(Article, "update", pk=4711))
    with pytest.raises(
        LookupError, match=r"^app\.Article has no row on 'default': make a row first, or ask for 'create'"
    ):
        analyze(AskedWrite(Article, "delete"))


def test_a_new_row_without_what_it_needs_is_refused_by_name():
    with pytest.raises(
        ValueError, match=r"^app\.Reading cannot be created without novel, reader: a row needs them\. .* --set novel="
    ):
        analyze(AskedWrite(Reading, "create"))


@pytest.mark.parametrize(
    ("model", "pk"), [(Branch, "north"), (Seat, (1, 2)), (Article, 4711)], ids=["natural", "composite", "number"]
)
def test_a_new_row_has_the_key_that_is_asked_for(model, pk):
    analyzed = analyze(asked_write(model, "create", pk=pk))

    assert (analyzed.raised, analyzed.pk) == (None, pk)


def test_a_new_row_without_its_key_says_how_to_give_it():
    with pytest.raises(ValueError, match=r"^app\.Seat cannot be created without row, number: a .* key by pk="):
        analyze(AskedWrite(Seat, "create"))


def test_a_receiver_that_ends_the_process_is_a_part_of_the_result(receive):
    @receive(post_save, sender=Article)
    def leave(**kwargs):
        sys.exit(3)

    analyzed = analyze(AskedWrite(Article, "create"))

    assert isinstance(analyzed.raised, SystemExit)
    assert "raised SystemExit(3)" in str(analyzed)
    assert not Article.objects.exists()


def test_the_row_is_read_from_the_database_of_the_write_and_from_no_replica(settings):
    settings.DATABASE_ROUTERS = ["tests.flow.test_analysis.Replicas"]
    article = Article.objects.using("default").create(words=7)

    analyzed = analyze(AskedWrite(Article, "update", values={"words": 8}))

    assert analyzed.pk == article.pk
    assert [query.using for query in analyzed.tree.all_queries] == ["default"]


class Replicas:
    def db_for_read(self, model, **hints):
        return "other"


def test_related_objects_are_added_to_a_many_to_many_field(receive):
    group, added = Group.objects.create(name="staff"), []
    newest = Permission.objects.create(content_type=ContentType.objects.get_for_model(Group), codename="sell")

    @receive(m2m_changed, sender=Group.permissions.through)
    def record(action, pk_set, **kwargs):
        added.append((action, pk_set))

    analyze(AskedWrite(Group, "add"))
    analyze(AskedWrite(Group, "add", pk=group.pk, values={"permissions": [newest.pk]}))

    assert added == [("pre_add", {newest.pk}), ("post_add", {newest.pk})] * 2
    assert not group.permissions.exists()


def test_a_model_without_such_a_field_is_refused():
    Article.objects.create()
    with pytest.raises(
        LookupError, match=r"^'add' is about a many-to-many field, and those of app\.Article are: none\."
    ):
        analyze(AskedWrite(Article, "add"))


# --- what is seen -----------------------------------------------------------------------------------------------


def test_v3_a_nested_save_has_what_it_has_changed(receive):
    genre = Genre.objects.create()
    article = Article.objects.create(words=1)

    @receive(post_save, sender=Genre)
    def count_words(**kwargs):
        found = Article.objects.get(pk=article.pk)
        found.words += 1
        found.save(update_fields=["words"])

    analyzed = analyze(AskedWrite(Genre, "save", pk=genre.pk))

    assert SavedRow(False, (ChangedField("words", "1", "2"),)) in analyzed.saved.values()
    assert "save app.Article: words 1 -> 2" in str(analyzed)


def test_v3_a_receiver_has_what_it_writes_by_queries_and_which_queries_it_repeats(receive):
    @receive(post_save, sender=Article)
    def act(**kwargs):
        Genre.objects.filter(pk=-1).update(name="a")
        for _ in range(3):
            list(Genre.objects.all())

    [line] = [line for line in str(analyze(AskedWrite(Article, "create"))).splitlines() if " act " in line]
    assert re.search(r" ms +4  UPDATE app_genre, 3 alike: SELECT app_genre$", line)


def test_v5_the_values_of_sensitive_fields_are_hidden():
    user = User.objects.create(username="ada", password="unmistakable")

    analyzed = analyze(AskedWrite(User, "update", values={"password": "unforgettable", "first_name": "Ada"}))

    assert [*analyzed.saved.values()] == [
        SavedRow(False, (ChangedField("password", None, None), ChangedField("first_name", "''", "'Ada'"))),
    ]
    for text in (str(analyzed), analyzed.to_json()):
        assert not re.search(r"unmistakable|unforgettable", text)
    assert User.objects.get(pk=user.pk).password == "unmistakable"


def test_an_error_of_the_write_is_a_part_of_the_result(receive):
    @receive(post_save, sender=Article, delivery=BeforeCommit())
    def refuse(**kwargs):
        raise ZeroDivisionError("no")

    analyzed = analyze(AskedWrite(Article, "create"))

    assert repr(analyzed.raised) == "ZeroDivisionError('no')"
    lines = [line.split() for line in str(analyzed).splitlines()]
    assert ["raised", "ZeroDivisionError('no'),", "and", "nothing", "is", "committed"] in lines
    assert "commit" not in [words[0] for words in lines]


def test_v2_receivers_behind_an_error_say_so(receive):
    @receive(pre_save, sender=Article)
    def fail(**kwargs):
        raise ZeroDivisionError

    @receive(pre_save, sender=Article)
    def follow(**kwargs): ...

    @receive(pre_save, sender=Article, order=-1, delivery=BeforeCommit())
    def keep(**kwargs): ...

    text = str(analyze(AskedWrite(Article, "create")))

    assert re.search(r" follow .* it comes after \S+fail, which has raised ZeroDivisionError$", text, re.MULTILINE)
    assert re.search(r" keep .* -> not called: the write has failed$", text, re.MULTILINE)


def test_an_error_after_the_commit_leaves_the_row(receive):
    @receive(post_save, sender=Article)
    def refuse(**kwargs):
        raise ZeroDivisionError("no")

    stages = [line.split()[0] for line in str(analyze(AskedWrite(Article, "create"))).splitlines()]
    assert stages.index("commit") < stages.index("raised")


def test_a_commit_that_the_database_would_refuse_says_why():
    analyzed = analyze(AskedWrite(Novel, "create", values={"writer_id": 4711}))

    if connection.features.can_defer_constraint_checks:
        assert "'default' would refuse it: " in str(analyzed)
        assert isinstance(analyzed.refused["default"], IntegrityError)
    else:  # MariaDB refuses the row itself
        assert isinstance(analyzed.raised, IntegrityError)


@pytest.mark.skipif(connection.vendor not in SLOW, reason="nothing limits a statement here")
def test_a_statement_that_takes_too_long_is_ended(receive, monkeypatch):
    monkeypatch.setattr(analyzing, "LONGEST_STATEMENT", 0.2)

    @receive(post_save, sender=Article)
    def wait(**kwargs):
        with connection.cursor() as cursor:
            cursor.execute(SLOW[connection.vendor])

    assert isinstance(analyze(AskedWrite(Article, "create")).raised, OperationalError)


def test_the_deliveries_that_would_wait_in_the_outbox_are_listed(receive):
    receive(post_save, sender=Article, delivery=Durable(queue="mail", key=lambda instance, **kwargs: "one"))(deliver)

    [delivery] = analyze(AskedWrite(Article, "create")).deliveries

    size = delivery.size
    assert delivery == StoredDelivery(
        "tests.flow.test_analysis.deliver", "django.db.models.signals.post_save", "mail", "one", size
    )
    assert 100 < size < 2000


def test_the_text_names_what_ran_by_its_stages(project):
    Article.objects.create()
    headline, *lines = str(analyze(AskedWrite(Article, "create"))).splitlines()
    stages = [line[2:].partition("  ")[0] for line in lines if line[2] != " "]

    assert headline.startswith("app.Article create, rolled back: ")
    expected = ("pre_save", "INSERT app_article", "before the commit", "commit", "post_save")
    assert [stage for stage in stages if stage in expected] == [*expected]
    assert stages[-3:] == ["in the outbox", "not called", "not undone"]


def test_the_text_has_the_line_where_a_recipe_is_declared():
    declaration = normalize(Article, title=str.upper)
    try:
        text = str(analyze(AskedWrite(Article, "create")))
    finally:
        declaration.disconnect()
    assert f"  tests/flow/test_analysis.py:{declaration.line.rpartition(':')[2]}  " in text


def shown_calls(name, **asked):
    """Return what the text of an analysis says behind the arrow of each call of a receiver."""
    lines = str(analyze(AskedWrite(Article, **asked))).splitlines()
    return [line.partition("-> ")[2] for line in lines if name in line and "-> " in line]


def test_the_text_says_of_a_batch_that_it_is_called_once_for_both_of_its_calls(receive):
    @receive(post_save, sender=Article, delivery=BeforeCommit(batch=True))
    def report(batch, **kwargs):
        """Have two calls in one batch."""

    @receive(post_save, sender=Article, when=created, delivery=BeforeCommit(), order=-1)
    def save_again(instance, **kwargs):
        instance.save()

    assert shown_calls("report", operation="create") == ["in one batch with its other call"]


def test_the_text_says_of_a_batch_that_it_is_not_called_if_the_write_fails(receive):
    @receive(post_save, sender=Article, delivery=BeforeCommit(batch=True))
    def report(batch, **kwargs):
        """Be put off, and never called."""

    @receive(post_save, sender=Article, delivery=BeforeCommit(), order=-1)
    def fail(instance, **kwargs):
        raise ValueError("no")

    assert shown_calls("report", operation="create") == ["not called: the write has failed"]


def test_the_text_says_of_the_audit_log_that_it_is_written_at_the_end():
    declaration = audit(Article)
    try:
        calls = shown_calls("audit(", operation="create")
    finally:
        declaration.disconnect()
    assert calls == ["written at the end, if a change is left"]


def test_the_text_has_the_statements_where_they_are_asked_for():
    text = str(analyze(AskedWrite(Article, "create"), sql=True))
    assert re.search(r"\n +INSERT INTO .app_article. ", text)
    assert not re.search(r"\n +INSERT INTO .app_article. ", str(analyze(AskedWrite(Article, "create"))))


def test_the_json_has_the_tree_and_what_would_come_later(receive, tmp_path):
    receive(post_save, sender=Article, delivery=Durable(queue="mail"))(deliver)

    @receive(post_save, sender=Article, delivery=OnCommit())
    def after(**kwargs): ...

    @receive(post_save, sender=Article)
    def write(**kwargs):
        (tmp_path / "file").write_text("")

    found = json.loads(analyze(AskedWrite(Article, "create"), hook=True).to_json(indent=1))

    [save] = found["nodes"]
    assert (save["kind"], found["saved"][str(save["number"])]) == ("save", {"created": True, "changes": {}})
    assert (found["model"], found["operation"], found["raised"]) == ("app.Article", "create", None)
    assert [one["queue"] for one in found["outbox"]] == ["mail"]
    assert [one["is_receiver"] for one in found["after_commit"]] == [True]
    assert [one["held"] for one in found["effects"] if one["kind"] == "file"] == [False]


# --- beside others ----------------------------------------------------------------------------------------------


def test_v7_nothing_is_patched_when_an_analysis_is_over():
    before = patched_methods()
    analyze(AskedWrite(Article, "create"))
    assert patched_methods() == before


def test_an_analysis_inside_of_a_transaction_is_refused():
    with transaction.atomic(), pytest.raises(TransactionManagementError, match=r"outside of atomic\(\)"):
        analyze(AskedWrite(Article, "create"))
