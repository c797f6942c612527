"""Declarations: connected as soon as models are loaded, refused where they stand, listed, verified and undone."""

from functools import partial
from io import StringIO
from pathlib import Path

import django
import pytest
from django.core.management import call_command
from django.db.models import Count, Model
from django.db.models.functions import Upper

from heliograph import callers, changed, raw
from heliograph.recipes import declarations as room
from heliograph.recipes import keep
from heliograph.recipes.declarations import check_declarations, declarations, declare, written
from heliograph.recipes.subjects import Difference, SubjectOfRows
from heliograph.signals import post_save, pre_save
from tests.app.models import Cart, Item, Node

pytestmark = pytest.mark.django_db


def shout(model, name, *, when=~raw, then=None):
    """Keep a text in capitals: a recipe as a project might write one."""

    def connect(declaration, model):
        model._meta.get_field(name)
        capitals = partial(write_capitals, name)
        declaration.connect(pre_save, capitals, sender=model, when=when, bulk=True, writes=[name])
        declaration.subjects = (Capitals(f"{model._meta.label}.{name}", model, name),)
        if then is not None:
            raise then

    return declare(written("shout", model, name, when=when), connect, model)


def write_capitals(name, instance, **kwargs):
    setattr(instance, name, getattr(instance, name).upper())


class Capitals(SubjectOfRows):
    def __init__(self, label, model, name):
        super().__init__(label, model)
        object.__setattr__(self, "name", name)

    def differences(self, using, keys):
        rows = self.model._base_manager.using(using).filter(pk__in=keys).values_list("pk", self.name)
        return [Difference(self.label, key, text, text.upper()) for key, text in rows if text != text.upper()]

    def mend(self, using, keys):
        self.model._base_manager.using(using).filter(pk__in=keys).update(**{self.name: Upper(self.name)})


def run(*arguments):
    out = StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(Path(django.__file__).parent)  # lines are relative to the working directory
        call_command("recipes", *arguments, stdout=out, stderr=out)
    return out.getvalue().splitlines()


def title_of(cart):
    return Cart.objects.get(pk=cart.pk).title


# --- connecting and undoing ---------------------------------------------------------------------------------------


def test_a_declaration_connects_where_it_stands_if_models_are_loaded():
    shout(Cart, "title")
    assert title_of(Cart.objects.create(title="mine")) == "MINE"


def test_a_model_may_be_named():
    shout("app.Cart", "title")
    assert title_of(Cart.objects.create(title="mine")) == "MINE"


def test_disconnect_undoes_all_and_twice_is_once():
    before = [*pre_save.receivers]
    declaration = shout(Cart, "title")
    assert (declaration.disconnect(), declaration.disconnect()) == (True, False)
    assert (pre_save.receivers, declarations) == (before, [])
    assert title_of(Cart.objects.create(title="mine")) == "mine"


def test_what_was_done_last_is_undone_first():
    undone = []

    def connect(declaration):
        declaration.undone_by(undone.append, "first")
        declaration.undone_by(undone.append, "last")

    declare("two()", connect).disconnect()
    assert undone == ["last", "first"]


def test_a_receiver_of_several_signals_is_disconnected_from_each(connect):
    calls = []

    def listening(declaration, model):
        declaration.connect([pre_save, post_save], lambda **kwargs: calls.append(kwargs["signal"]), sender=model)

    declaration = declare("listen()", listening, Cart)
    Cart.objects.create()
    assert calls == [pre_save, post_save]
    declaration.disconnect()
    Cart.objects.create()
    assert len(calls) == 2


# --- what is refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [TypeError("no"), ValueError("no"), LookupError("no"), RuntimeError("no")])
def test_a_refused_declaration_leaves_nothing_connected(error):
    before = [*pre_save.receivers]
    with pytest.raises(type(error)):
        shout(Cart, "title", then=error)
    assert (pre_save.receivers, declarations) == (before, [])


@pytest.mark.parametrize("model", [Cart.objects, Model, None, 5])
def test_what_is_no_model_is_refused(model):
    with pytest.raises(TypeError) as raised:
        shout(model, "title")
    expected = f"shout() takes a model, or its name, such as shout('blog.Post', ...), not {model!r}."
    assert (str(raised.value), declarations) == (expected, [])


def test_an_abstract_model_is_refused():
    class Base(Model):
        class Meta:
            abstract = True
            app_label = "app"

    with pytest.raises(TypeError) as raised:
        shout(Base, "title")
    assert str(raised.value) == "shout() takes a model with a table, and app.Base is abstract or swapped."


# --- while models are being loaded --------------------------------------------------------------------------------


@pytest.fixture
def loading(monkeypatch):
    """Be in the middle of loading models: what waits for them is called by `loaded()`."""
    waiting = []
    monkeypatch.setattr(room, "when_models_are_loaded", waiting.append)
    monkeypatch.setattr(room.apps, "models_ready", False)

    def loaded():
        monkeypatch.setattr(room.apps, "models_ready", True)
        for operation in waiting:
            operation()

    return loaded


def test_a_declaration_in_models_waits_until_models_are_loaded(loading):
    declaration = keep("app.Cart", items_count=Count("items"))
    assert declaration.subjects == ()
    loading()
    assert [one.label for one in declaration.subjects] == ["app.Cart.items_count"]
    cart = Cart.objects.create()
    Item.objects.create(cart=cart)
    assert Cart.objects.get().items_count == 1


def test_a_declaration_that_is_disconnected_before_models_are_loaded_connects_nothing(loading):
    before = [*pre_save.receivers]
    shout("app.Cart", "title").disconnect()
    loading()
    assert pre_save.receivers == before


def test_a_declaration_in_models_that_is_refused_is_an_error_of_the_system_checks(loading):
    declaration = keep("app.Cart", item_count=Count("items"))
    loading()
    (error,) = check_declarations(None)
    assert (error.id, error.obj) == ("heliograph.E201", declaration.text)
    assert error.msg.endswith("app.Cart has no field 'item_count'. Did you mean 'items_count'?")
    assert error.hint == f"It is declared at {declaration.line}."


@pytest.mark.parametrize(
    ("declared", "text"),
    [
        (lambda: shout("app.Card", "title"), "App 'app' doesn't have a 'Card' model."),
        (lambda: shout("app.Cart", "tittle"), "Cart has no field named 'tittle'"),
        (
            lambda: shout("app.Cart", "title", when=changed("tittle")),
            "changed('tittle'): app.Cart has no field 'tittle'. Did you mean 'title'?",
        ),
        (lambda: shout("app.Cart", "title", then=ValueError("bad value")), "bad value"),
    ],
)
def test_whatever_refuses_a_declaration_in_models_is_reported_and_leaves_nothing_connected(loading, declared, text):
    before = [*pre_save.receivers]
    declared()
    loading()
    (error,) = check_declarations(None)
    assert (error.msg, pre_save.receivers) == (text, before)


# --- the list -----------------------------------------------------------------------------------------------------


def test_a_declaration_reads_as_it_was_written():
    assert written("shout", Cart, "title", into=Node, when=changed("title")) == (
        "shout(app.Cart, 'title', into=app.Node, when=changed('title'))"
    )


def test_the_list_has_each_declaration_with_file_and_line_and_its_subjects():
    one, other = shout(Cart, "title", when=~raw), declare("mail()", lambda declaration: None)
    assert run("list") == [
        f"shout(app.Cart, 'title', when=~raw)  {one.line}",
        "    app.Cart.title",
        f"mail()  {other.line}",
    ]


def test_the_list_says_why_a_declaration_is_refused(loading):
    declaration = shout("app.Cart", "title", then=ValueError("bad value"))
    loading()
    assert run("list") == [f"shout('app.Cart', 'title', when=~raw)  {declaration.line}", "    refused: bad value"]


@pytest.mark.parametrize("folder", ["/srv/shop", f"{callers._PACKAGE.rstrip('/')}_site"])
def test_the_line_of_a_declaration_is_in_the_project_whatever_its_folder_is_called(folder):
    names = {"declare": declare}
    exec(compile("\n\none = declare('mail()', lambda declaration: None)", f"{folder}/receivers.py", "exec"), names)
    assert names["one"].line == f"{folder}/receivers.py:3"


# --- verify and backfill ------------------------------------------------------------------------------------------


def test_the_command_verifies_and_fills_what_any_recipe_keeps_right():
    old = Cart.objects.create(title="old")
    shout(Cart, "title")
    with pytest.raises(SystemExit):
        run("verify")
    assert run("verify", "--repair", "app.Cart.title") == [
        f"app.Cart.title of {old.pk} is old, not OLD, and is mended",
        "1 verified, 1 mended",
    ]
    Cart.objects.filter(pk=old.pk).update(title="once more")
    assert run("backfill") == ["1 verified, 1 filled"]
    assert title_of(old) == "ONCE MORE"


def test_a_subject_without_what_it_needs_says_so():
    subject = SubjectOfRows("app.Cart.title", Cart)
    with pytest.raises(NotImplementedError) as raised:
        subject.differences("default", [1])
    assert str(raised.value) == "SubjectOfRows must define differences(using, keys)."
    with pytest.raises(NotImplementedError) as raised:
        subject.mend("default", [1])
    assert str(raised.value) == "SubjectOfRows must define mend(using, keys)."
