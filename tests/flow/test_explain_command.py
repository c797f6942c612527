"""The command `signals explain`, and what explain() refuses."""

import json
from io import BytesIO, StringIO, TextIOWrapper

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models import Count

from heliograph import changed, explain, has
from heliograph.audit import audit
from heliograph.flow.asked_writes import asked_write
from heliograph.recipes import keep
from heliograph.signals import post_save
from tests.app.models import Article, Branch, Cart, Item, Seat, Ticket, Writer


def explained(*arguments):
    out = StringIO()
    call_command("signals", "explain", *arguments, stdout=out)
    return out.getvalue()


def test_the_command_prints_the_story():
    assert explained("app.Article", "create") == f"{explain(Article, 'create')}\n"


def test_without_an_operation_it_is_a_save_and_with_a_key_an_update():
    assert explained("app.Article").startswith("app.Article save: ")
    assert explained("app.Article", "--pk", "7").startswith("app.Article update (pk=7): ")


def test_the_name_of_a_model_is_found_in_any_case():
    assert explained("app.article").startswith("app.Article save: ")


def test_values_are_converted_by_their_fields(receive):
    @receive(post_save, sender=Article, when=has(words=7))
    def count(**kwargs): ...

    text = explained("app.Article", "update", "--set", "words=7", "--set", "author=3", "--set", "published=")

    assert text.startswith("app.Article update (words=7, author_id=3, published=None): ")
    assert "not called" not in text


def test_a_value_may_have_an_equals_sign():
    assert explained("app.Article", "--set", "title=a=b").startswith("app.Article save (title='a=b'): ")


def test_json_is_for_programs():
    found = json.loads(explained("app.Article", "delete", "--json"))

    assert (found["model"], found["operation"]) == ("app.Article", "delete")


def test_another_database_is_named():
    assert explained("app.Article", "--database", "other").startswith("app.Article save in 'other': ")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["app.Artcle"], "There is no model 'app.Artcle'. Did you mean 'app.Article'?"),
        (["shop.Article"], "There is no model 'shop.Article'. Did you mean 'app.Article'?"),
        (["xyz"], "There is no model 'xyz'. A model is named by its app and its name, such as 'shop.Order'."),
        (["app.Named"], "There is no model 'app.Named'. "),
        (["app.Article", "change"], "explain() takes the operations save, create, update, delete, add, not 'change'."),
        (["app.Article", "--database", "third"], "There is no database 'third'. There are: default, other"),
        (["app.Article", "--set", "titel=x"], "app.Article has no field 'titel' with a column. Did you mean 'title'?"),
        (["app.Article", "--set", "title"], "--set takes the name of a field and its value, as in status=paid, not"),
        (["app.Article", "--set", "words=many"], "'many' is no value of app.Article.words (IntegerField): "),
        (["app.Article", "--set", "author=Ada"], "'Ada' is no value of app.Article.author (a key of app.Writer): "),
        (
            ["app.Article", "--set", "labels={"],
            "'{' is no value of app.Article.labels (JSONField): Enter a valid JSON.",
        ),
        (["app.Article", "--set", "pk=7"], "app.Article.pk is the primary key: say which row is written by pk."),
        (
            ["app.Article", "--set", "author=null"],
            "'null' is no value of app.Article.author (a key of app.Writer): “null” value must be an integer."
            " For NULL, give nothing: author=",
        ),
        (["app.Article", "--sql"], "--sql shows the statements of a write that was run: add --analyze."),
        (["app.Article", "--set", "id=7"], "app.Article.id is the primary key: say which row is written by pk."),
        (["app.Account", "--set", "twice=7"], "app.Account.twice is generated: no save sets it."),
        (["app.Article", "delete", "--set", "words=7"], "'delete' of app.Article sets no field: leave the values out."),
        (["app.Ticket", "--pk", "seven"], "'seven' is no value of app.Ticket.id (UUIDField): "),
        (["app.Seat", "--pk", "1"], "The key of app.Seat has 2 parts (row, number), not 1: '1'."),
        (["app.Writer", "add"], "app.Writer has no many-to-many field to which something could be added."),
    ],
)
def test_what_cannot_be_is_refused_with_what_to_do(arguments, text):
    with pytest.raises(CommandError) as refused:
        explained(*arguments)

    assert str(refused.value).startswith(text)


def test_a_key_of_several_columns_is_given_by_its_parts():
    assert explained("app.Seat", "--pk", "1,2").startswith("app.Seat update (pk=(1, 2)): ")
    assert str(explain("app.Seat", pk=(1, 2))).startswith("app.Seat update (pk=(1, 2)): ")


def test_python_gives_instances_and_values():
    story = explain(Article, "update", values={"author": Writer(pk=3), "labels": ["x"], "words": 1})

    assert story.asked.values == {"author_id": 3, "labels": ["x"], "words": 1}


@pytest.mark.parametrize("model", [object, Writer(), None])
def test_what_is_no_model_is_refused(model):
    with pytest.raises(TypeError, match=r"^explain\(\) takes a model, or its label such as 'shop.Order', not "):
        explain(model)


def test_an_instance_of_another_model_is_no_value():
    with pytest.raises(ValueError, match=r"is no value of app\.Article\.author \(a key of app\.Writer\): "):
        explain(Article, values={"author": Branch(code="x")})


# --- declarations: what a receiver writes -------------------------------------------------------------------------


def test_the_receiver_that_keeps_a_field_is_found_by_the_name_of_the_field():
    declared = keep(Cart, items_count=Count("items"))
    try:
        story = explain(Item, "create")
    finally:
        declared.disconnect()

    (one,) = [one for one in story.receivers() if "app.Cart.items_count" in one.writes]
    assert one.where.startswith("tests/flow/test_explain_command.py:")
    assert "keep(app.Cart, items_count=Count(F(items)))" in str(story)
    assert "writes app.Cart.items_count" in str(story)


def test_the_audit_log_says_of_which_fields_it_has_entries():
    declared = audit(Ticket, mask=["state"])
    try:
        story = explain(Ticket, "update")
    finally:
        declared.disconnect()

    (one,) = story.receivers()
    assert one.declared == "audit(app.Ticket)"
    assert one.where.startswith("tests/flow/test_explain_command.py:")
    assert "writes the audit log (state (masked))" in str(story)


def test_an_update_that_leaves_audited_fields_alone_has_no_entry():
    declared = audit(Article, exclude=["updated"])
    try:
        assert [one.name for one in explain(Article, "update").receivers()] == ["audit(app.Article)"]
    finally:
        declared.disconnect()


def test_conditions_of_relations_are_about_their_columns(receive):
    @receive(post_save, sender=Article, when=changed("author"))
    def follow(**kwargs): ...

    assert "if changed('author') (author is set to 3)" in explained("app.Article", "update", "--set", "author_id=3")


@pytest.mark.parametrize(
    ("text", "value"), [("{}", {}), ("[]", []), ("null", None), ('"x"', "x"), ("0", 0), ('{"a": [1]}', {"a": [1]})]
)
def test_json_is_any_json(text, value):
    assert asked_write(Article, values={"labels": text}).values == {"labels": value}


@pytest.mark.parametrize("text", ["true", "True", "1", "TRUE"])
def test_a_boolean_is_written_as_in_python_or_in_json(text):
    assert asked_write(User, values={"is_staff": text}).values == {"is_staff": True}
    assert asked_write(User, values={"is_staff": "false"}).values == {"is_staff": False}


def test_a_receiver_without_a_docstring_has_none_of_python():
    class Silent:
        def __call__(self, sender, **kwargs): ...

    silent = Silent()
    post_save.connect(silent, sender=Article)
    try:
        assert [one.about for one in explain(Article).receivers()] == [""]
    finally:
        post_save.disconnect(silent, sender=Article)


def test_a_character_that_the_output_has_not_is_escaped(receive):
    @receive(post_save, sender=Article)
    def follow(**kwargs):
        """Old → new."""

    out = TextIOWrapper(BytesIO(), encoding="ascii")
    call_command("signals", "explain", "app.Article", stdout=out)
    out.flush()

    assert b"Old \\u2192 new." in out.buffer.getvalue()
    assert out.errors == "strict"


@pytest.mark.django_db(transaction=True, databases="__all__")
def test_receivers_print_on_the_error_stream_while_they_are_analyzed(receive, capsys):
    @receive(post_save, sender=Article)
    def say(**kwargs):
        print("said")

    call_command("signals", "explain", "app.Article", "create", "--analyze", "--json")

    printed = capsys.readouterr()
    assert json.loads(printed.out)["operation"] == "create"
    assert printed.err == "said\n"


@pytest.mark.django_db(transaction=True, databases="__all__")
def test_a_table_that_there_is_not_is_an_error_of_the_command():
    with connection.schema_editor() as editor:
        editor.delete_model(Seat)
    try:
        with pytest.raises(CommandError, match="app_seat"):
            explained("app.Seat", "update", "--analyze")
    finally:
        with connection.schema_editor() as editor:
            editor.create_model(Seat)
