"""Conditions that are refused when a receiver is connected, or reported by the system check."""

import re

import pytest
from django.contrib.auth import get_user_model
from django.core.exceptions import FieldDoesNotExist

from heliograph import Signal, action, changed, created, raw, receiver, update_fields
from heliograph.catalogue import title as title_of
from heliograph.checks import check_conditions
from heliograph.signals import (
    connection_created,
    m2m_changed,
    post_delete,
    post_init,
    post_save,
    pre_save,
    request_finished,
)
from tests.app.models import Article, Genre, Novel, Remark, Ticket, Writer
from tests.helpers.messages import exactly
from tests.helpers.receivers import is_big, published, record, refused

on_each_save = pytest.mark.parametrize("signal", [pre_save, post_save], ids=["pre_save", "post_save"])


@Signal.define
def counted(sender, *, number):
    """A signal that is about no instance."""


# --- mistakes -----------------------------------------------------------------------------------------------------


@on_each_save
@pytest.mark.parametrize("condition", [changed, update_fields])
def test_d5_a_field_that_there_is_not_is_refused_with_the_one_that_was_meant(signal, condition):
    text = f"{condition.__name__}('titel'): app.Article has no field 'titel'. Did you mean 'title'?"
    refused(FieldDoesNotExist, text, signal, Article, when=condition("titel"))


def test_a_field_that_resembles_no_other_is_refused_with_those_that_there_are():
    text = "changed('status'): app.Writer has no field 'status'. It has id, name."
    refused(FieldDoesNotExist, text, post_save, Writer, when=changed("status"))


def test_a_field_that_there_is_not_is_refused_inside_a_combination():
    text = "changed('titel'): app.Article has no field 'titel'. Did you mean 'title'?"
    refused(FieldDoesNotExist, text, post_save, Article, when=~(created | is_big & changed("titel")))


def test_a_field_that_there_is_not_is_refused_for_one_of_several_senders():
    text = "changed('name'): app.Article has no field 'name'. It has author, author_id, cover, id, labels, price,"
    with pytest.raises(FieldDoesNotExist, match=f"^{re.escape(text)}"):
        post_save.connect(record, sender=[Writer, Article], when=changed("name"))

    assert not post_save.disconnect(record, sender=Writer)


def test_a_field_that_there_is_not_is_refused_for_a_sender_that_is_named():
    text = "changed('titel'): app.Article has no field 'titel'. Did you mean 'title'?"
    with pytest.raises(FieldDoesNotExist, match=exactly(text)):
        receiver(post_save, sender="app.Article", when=changed("titel"))(record)


@pytest.mark.parametrize(
    ("model", "name"),
    [
        (Novel, "genres"),
        (Novel, "readers"),
        (Novel, "review"),
        (Writer, "novels"),
        (Novel, "audiobook"),
    ],
    ids=["many to many", "many to many through a model", "foreign key", "related name", "child"],
)
@pytest.mark.parametrize("condition", [changed, update_fields])
def test_a_relation_that_has_no_column_is_refused(model, name, condition):
    text = (
        f"{condition.__name__}({name!r}): {model._meta.label}.{name} has no column."
        " Ask for fields with a column; m2m_changed is about many-to-many fields."
    )
    refused(FieldDoesNotExist, text, post_save, model, when=condition(name))


@pytest.mark.parametrize(
    ("condition", "signal", "asked", "sent"),
    [
        (changed("title"), request_finished, "'instance'", "nothing"),
        (changed("title"), connection_created, "'instance'", "connection"),
        (created, post_init, "'created' or 'update_fields'", "instance"),
        (created, counted, "'created' or 'update_fields'", "number"),
        (raw, post_init, "'raw'", "instance"),
        (update_fields("title"), post_delete, "'update_fields'", "instance, origin, using"),
        (action("post_add"), post_save, "'action'", "created, instance, raw, update_fields, using"),
        (changed("title"), counted, "'instance'", "number"),
    ],
    ids=lambda value: getattr(value, "name", str(value)).rpartition(".")[2],
)
def test_a_condition_on_what_the_signal_does_not_send_is_refused(condition, signal, asked, sent):
    text = (
        f"{condition!r} asks for {asked}, which {title_of(signal)} does not send; it sends {sent}."
        " Take the condition away, or another signal."
    )
    refused(TypeError, text, signal, when=condition)


def test_a_database_is_refused_on_a_signal_that_sends_none():
    text = (
        "using='other' asks for 'using', which request_finished does not send; it sends nothing."
        " Take the condition away, or another signal."
    )
    with pytest.raises(TypeError, match=exactly(text)):
        receiver(request_finished, using="other")(record)


def test_changed_is_refused_on_m2m_changed_whose_instance_is_not_of_the_sender(connect):

    with pytest.raises(TypeError):
        connect(m2m_changed, record, sender=Novel.genres.through, when=changed("novel"))


@pytest.mark.parametrize("using", ["replica", ["default", "replica"]])
def test_a_database_that_there_is_not_is_refused(using):
    text = "using='replica': there is no such database. DATABASES has 'default', 'other'."
    refused(ValueError, text, post_save, Article, using=using)


def test_no_database_at_all_is_refused(connect):

    with pytest.raises(ValueError, match="using="):
        connect(post_save, record, sender=Article, using=[])


@pytest.mark.parametrize("actions", [["added"], ["post_add", "added"], []])
def test_an_action_that_there_is_not_is_refused(actions):
    text = (
        f"action({', '.join(map(repr, actions))}): m2m_changed has the actions"
        " pre_add, post_add, pre_remove, post_remove, pre_clear, post_clear."
    )
    with pytest.raises(ValueError, match=exactly(text)):
        action(*actions)


@pytest.mark.parametrize("condition", [changed, update_fields])
@pytest.mark.parametrize(
    "name", [7, None, ["title"], Article._meta.get_field("title")], ids=["7", "None", "list", "field"]
)
def test_a_field_is_given_by_its_name(condition, name):
    with pytest.raises(TypeError, match=exactly(f"A field is given by its name, not as {name!r}.")):
        condition("title", name)


@pytest.mark.parametrize("given", ["was", "to"])
@pytest.mark.parametrize(
    ("model", "field", "value", "kind"),
    [
        (Article, "words", "abc", "IntegerField"),
        (Article, "published", "yesterday", "DateTimeField"),
        (Article, "price", "much", "DecimalField"),
        (Article, "author", "Ada", "ForeignKey"),
        (Article, "author", Genre(pk=1), "ForeignKey"),
        (Article, "words", Writer(pk=1), "IntegerField"),
        (Ticket, "id", "abc", "UUIDField"),
        (get_user_model(), "is_active", "maybe", "BooleanField"),
    ],
    ids=["number", "time", "decimal", "key", "object of another model", "object", "uuid", "truth"],
)
def test_a_value_that_the_field_cannot_have_is_refused(given, model, field, value, kind):
    text = (
        f"changed({field!r}, {given}={value!r}): {value!r} is not a value of {model._meta.label}.{field} ({kind})."
        " Give a value that the field can have."
    )
    refused(ValueError, text, post_save, model, when=changed(field, **{given: value}))


@pytest.mark.parametrize(
    ("field", "value"),
    [("words", "7"), ("words", True), ("published", "2020-01-01"), ("author", None), ("author", "7"), ("words", None)],
)
def test_a_value_that_the_field_can_have_is_taken(connect, field, value):
    connect(post_save, record, sender=Article, when=changed(field, to=value))


@pytest.mark.parametrize("given", ["was", "to"])
def test_a_value_without_a_field_is_refused(given):
    text = f"changed({given}='paid'): {given}='paid' is a value of no field. Name the field before it."
    refused(ValueError, text, post_save, Article, when=changed(**{given: "paid"}))


@pytest.mark.parametrize("instance", [None, "an article", Article], ids=["none", "a string", "a class"])
def test_a_plain_signal_that_sends_no_instance_of_a_model_says_so(listen, instance):
    listen(published, when=changed("title"))
    text = (
        f"changed('title') asks for 'instance', and published sent {instance!r}."
        " Send the instance of a model under this name, or take the condition away."
    )
    with pytest.raises(TypeError, match=exactly(text)):
        published.send(None, instance=instance)


def test_a_plain_signal_that_does_not_send_the_name_says_so(listen):
    listen(published, when=changed("title"))
    text = (
        "changed('title') asks for 'instance', and published sent None."
        " Send the instance of a model under this name, or take the condition away."
    )
    with pytest.raises(TypeError, match=exactly(text)):
        published.send(None)


def test_a_plain_signal_that_sends_neither_created_nor_an_instance_says_so(listen):
    listen(published, when=created)

    with pytest.raises(TypeError, match=r"^created asks for "):
        published.send(None)


# --- the system check -------------------------------------------------------------------------------------------------


def problems():
    return [(error.id, error.msg, error.hint) for error in check_conditions(None)]


def test_d5_a_field_that_no_model_has_is_an_error_of_the_system_check(connect):
    connect(post_save, record, when=changed("titel"))
    ((number, text, hint),) = problems()
    assert (number, hint) == ("heliograph.E002", "Did you mean 'title'?")
    assert re.fullmatch(r"changed\('titel'\): none of the \d+ models of this receiver has a field 'titel'\.", text)


def test_a_field_like_no_other_is_an_error_that_names_no_innocent_model(connect):
    connect(post_save, record, sender=Novel, subclasses=True, when=changed("xyzzy"))
    ((_, text, hint),) = problems()
    assert re.fullmatch(r"changed\('xyzzy'\): none of the \d models of this receiver has a field 'xyzzy'\.", text)
    assert hint == "Name a field of the models, or name one model as the sender."


@pytest.mark.parametrize("condition", [changed, update_fields])
def test_a_generic_foreign_key_is_refused_with_its_columns(condition):
    text = (
        f"{condition.__name__}('target'): app.Remark.target has no column."
        " Ask for its two columns: 'content_type', 'object_id'."
    )
    refused(FieldDoesNotExist, text, post_save, Remark, when=condition("target"))


def test_a_field_without_a_column_is_an_error_of_the_model_that_has_it(connect):
    connect(post_save, record, when=changed("genres"))
    ((_, text, hint),) = problems()
    assert text == "changed('genres'): app.Novel.genres has no column."
    assert hint.startswith("Ask for fields with a column")


def test_a_field_that_one_model_has_is_none(connect):
    connect(post_save, record, when=changed("words", "minutes") | update_fields("title"))
    assert problems() == []


def test_a_value_that_no_model_takes_is_an_error_of_the_system_check(connect):
    connect(post_save, record, when=changed("minutes", to="many"))
    text = "changed('minutes', to='many'): 'many' is not a value of app.Audiobook.minutes (IntegerField)."
    assert problems() == [("heliograph.E002", text, "Give a value that the field can have.")]


def test_a_receiver_of_subclasses_is_checked_with_those_that_there_are(connect):
    connect(post_save, record, sender=Novel, subclasses=True, when=changed("minutes"))
    assert problems() == []
