"""Receivers that are connected in models.py, and fields that a model gets later than its receivers."""

import pytest

from tests.helpers.bare import run

pytestmark = pytest.mark.database_independent

IMPORTS = """
from django.db import models
from heliograph import BeforeCommit, changed, created, receiver, update_fields
from heliograph.signals import post_save, pre_save

received = []
"""

MODEL = """
class Book(models.Model):
    title = models.CharField(max_length=10)
    slug = models.CharField(max_length=10, default="")
    tags = models.JSONField(default=list)
    publisher = models.ForeignKey("Publisher", models.SET_NULL, null=True)
    authors = models.ManyToManyField("Publisher", related_name="+")
"""

# A model that refers to the other, and one that inherits from it: both are defined after the receiver is connected.
LATER_MODELS = """
class Publisher(models.Model):
    best = models.ForeignKey(Book, models.CASCADE, null=True, related_name="best_of")
    books = models.ManyToManyField(Book, related_name="sold_by")


class Novel(Book):
    pages = models.IntegerField(default=0)
"""

RECEIVER = """
@receiver({signal}, sender={sender}, {options})
def {function}({parameters}, **kwargs):
    received.append({name!r})
"""

# Each with the signal, the options and a parameter of its receiver.
OPTIONS = {
    "changed": ("post_save", 'when=changed("title")', "instance"),
    "changed to a value": ("post_save", 'when=changed("title", was="Old", to="New")', "instance"),
    "changed, with a value of a late model": ("post_save", 'when=~changed("publisher", to=7) & ~created', "instance"),
    "any change": ("post_save", "when=changed()", "instance"),
    "created or changed": ("post_save", 'when=created | changed("title")', "instance"),
    "changes": ("post_save", 'when=changed("title")', "changes"),
    "update_fields": ("post_save", 'when=update_fields("title")', "instance"),
    "fetch": ("post_save", 'when=changed("title"), fetch=True', "instance"),
    "fetch always": ("pre_save", 'when=changed("title"), fetch="always"', "instance"),
    "writes": ("pre_save", 'when=changed("title"), writes=["slug"]', "instance"),
    "bulk": ("post_save", 'when=changed("title"), bulk=True', "instance"),
    "a batch": ("post_save", 'when=changed("title"), bulk=True, delivery=BeforeCommit(batch=True)', "batch"),
}

WRONG = {
    'when=changed("titel")': "changed('titel'): shop.Book has no field 'titel'.",
    'when=update_fields("titel")': "update_fields('titel'): shop.Book has no field 'titel'.",
    'when=changed("authors")': "changed('authors'): shop.Book.authors has no column.",
    'when=changed("slug"), writes="titel"': "writes=['titel']: shop.Book has no field 'titel'.",
    'when=changed("publisher", to="many")': (
        "changed('publisher', to='many'): 'many' is not a value of shop.Book.publisher (ForeignKey)."
    ),
}

# Each with its expression, and whether the receivers follow the class.
SENDERS = {
    "the class": ("Book", True),
    "its name, after the class": ('"shop.Book"', True),
    "its name, before the class": ('"shop.Book"', False),
    "the class and its subclasses": ("Book, subclasses=True", True),
}

MAKE_TABLES = """
from django.db import connection
from shop import models as shop

with connection.schema_editor() as editor:
    for model in (shop.Publisher, shop.Book, shop.Novel):
        editor.create_model(model)
"""

SAVE = """
book = shop.Book.objects.create(title="Old")
shop.received.clear()
book.title = "New"
book.save(update_fields=["title"])
report(sorted(shop.received))
shop.received.clear()
shop.Book.objects.get().save()
report(shop.received)
"""


def run_shop(folder, models, script, apps_py="", **settings):
    """Run a script in a project with an app that has these models, and return what it reports."""
    package = folder / "shop"
    package.mkdir()
    for name, text in {"__init__": "", "apps": apps_py, "models": models}.items():
        (package / f"{name}.py").write_text(text)
    apps = settings.pop("INSTALLED_APPS", ["heliograph", "shop"])
    early = f"import sys; sys.path.insert(0, {str(folder)!r})"
    auto = "django.db.models.AutoField"
    return run(MAKE_TABLES + script, early, INSTALLED_APPS=apps, DEFAULT_AUTO_FIELD=auto, **settings)


def connected(receivers, sender="the class"):
    """Return a models.py with receivers that are connected in it."""
    named, is_after = SENDERS[sender]
    connect = "".join(RECEIVER.format(sender=named, **given) for given in receivers)
    return IMPORTS + (MODEL + connect if is_after else connect + MODEL) + LATER_MODELS


def receivers_of(options):
    for at, (name, (signal, given, parameters)) in enumerate(options.items()):
        yield {"name": name, "function": f"record_{at}", "signal": signal, "options": given, "parameters": parameters}


@pytest.mark.parametrize("sender", SENDERS)
def test_receivers_can_be_connected_in_models_py(tmp_path, sender):
    reported = run_shop(tmp_path, connected(receivers_of(OPTIONS), sender), SAVE)
    assert reported == [sorted(OPTIONS), ["changed, with a value of a late model"]]


def test_a_receiver_in_models_py_works_where_heliograph_is_no_installed_app(tmp_path):
    options = {name: OPTIONS[name] for name in ("changed", "changes", "update_fields", "writes")}
    reported = run_shop(tmp_path, connected(receivers_of(options)), SAVE, INSTALLED_APPS=["shop"])
    assert reported == [sorted(options), []]


def test_a_subclass_that_is_defined_after_its_receiver_is_watched(tmp_path):
    options = {"changed": OPTIONS["changed"]}
    script = """
novel = shop.Novel.objects.create(title="Old")
novel.title = "New"
novel.save()
report(shop.received)
"""
    models = connected(receivers_of(options), "the class and its subclasses")
    assert run_shop(tmp_path, models, script) == [["changed"]]


@pytest.mark.parametrize("sender", [sender for sender in SENDERS if "subclasses" not in sender])
def test_wrong_names_in_models_py_are_found_by_a_system_check(tmp_path, sender):
    wrong = {name: ("pre_save", name, "instance") for name in WRONG}
    script = """
from django.core.checks import run_checks
found = [one for one in run_checks() if one.id.startswith("heliograph")]
report(*((one.id, str(one.obj).split(" ")[0], one.msg) for one in found))
shop.Book.objects.create().save()
"""
    reported = run_shop(tmp_path, connected(receivers_of(wrong), sender), script)
    assert reported == [("heliograph.E002", f"shop.models.record_{at}", text) for at, text in enumerate(WRONG.values())]


def test_a_wrong_name_is_refused_on_connect_as_soon_as_the_models_are_loaded(tmp_path):
    script = """
try:
    shop.receiver(shop.post_save, sender=shop.Book, when=shop.changed("titel"))(lambda **kwargs: None)
except Exception as error:
    report(f"{type(error).__name__}: {error}")
"""
    reported = run_shop(tmp_path, connected([]), script)
    assert reported == ["FieldDoesNotExist: changed('titel'): shop.Book has no field 'titel'. Did you mean 'title'?"]


# --- fields that a model gets later ---------------------------------------------------------------------------------

ADD_IN_READY = """
from django.apps import AppConfig


class ShopConfig(AppConfig):
    name = "shop"

    def ready(self):
        from django.db import models

        from shop.models import Book

        models.CharField(max_length=10, default="").contribute_to_class(Book, "extra")
        models.JSONField(default=list).contribute_to_class(Book, "notes")
"""

RECORD_CHANGES = """
@receiver(post_save, sender=Book, {options})
def record(changes, **kwargs):
    received.append({{name: tuple(change) for name, change in changes.items()}})
"""

SAVE_ADDED = """
shop.Book.objects.create(title="Old", extra="a")
book = shop.Book.objects.get()
shop.received.clear()
book.save()
book.extra = "b"
book.save()
book.notes.append(1)
book.save()
report(*shop.received)
"""


@pytest.mark.parametrize("options", ["", 'when=changed("extra", "notes")'])
def test_a_field_that_an_app_adds_when_it_is_ready_is_compared(tmp_path, options):
    models = IMPORTS + MODEL + RECORD_CHANGES.format(options=options) + LATER_MODELS
    reported = run_shop(tmp_path, models, SAVE_ADDED, ADD_IN_READY)
    assert [changes for changes in reported if changes] == [{"extra": ("a", "b")}, {"notes": ([], [1])}]


def test_rows_that_were_loaded_before_a_field_was_added_are_unknown_once(tmp_path):
    models = IMPORTS + MODEL + RECORD_CHANGES.format(options='when=changed("title")') + LATER_MODELS
    script = """
from django.db.models import CharField

shop.Book.objects.create(title="Old")
book = shop.Book.objects.get()
# It stands before the title in the order of columns.
added = CharField(max_length=10, default="", null=True)
added.creation_counter = shop.Book._meta.get_field("title").creation_counter - 1
added.contribute_to_class(shop.Book, "added")
with connection.schema_editor() as editor:
    editor.add_field(shop.Book, added)
shop.received.clear()
book.title = "New"
book.save()
book.title = "Newer"
book.save()
shop.Book.objects.get().save()
report(*({name: [str(old), new]} for changes in shop.received for name, (old, new) in changes.items()))
"""
    reported = run_shop(tmp_path, models, script)
    assert reported == [{"title": ["UNKNOWN", "New"]}, {"title": ["New", "Newer"]}]


def test_a_field_that_is_added_to_a_parent_is_compared_in_its_children(tmp_path):
    models = IMPORTS + MODEL + LATER_MODELS + RECORD_CHANGES.format(options="subclasses=True")
    script = """
from django.apps import apps

apps.clear_cache()  # as the next model that is defined does: until then Django gives the child its old list of fields
shop.Novel.objects.create(title="Old", extra="a")
novel = shop.Novel.objects.get()
shop.received.clear()
novel.save()
novel.extra, novel.pages = "b", 3
novel.save()
report(*shop.received)
"""
    reported = run_shop(tmp_path, models, script, ADD_IN_READY)
    assert [changes for changes in reported if changes] == [{"extra": ("a", "b"), "pages": (0, 3)}]
