"""Rows that are written in bulk, and what of them is stored."""

import re
from datetime import timedelta, timezone
from decimal import Decimal

from django.db import DatabaseError, connection, transaction
from django.db.models import Case, F, JSONField, OuterRef, Subquery, Value, When
from django.db.models.functions import Concat, JSONObject, Now, Random, Round, Upper
from django.utils.timezone import now
from django.utils.translation import gettext_lazy

from heliograph import mute
from heliograph.signals import (
    post_bulk_create,
    post_bulk_update,
    post_update,
    pre_bulk_create,
    pre_bulk_update,
    pre_update,
)
from tests.app.models import Article, Branch, Desk, Loan, Ware, Writer
from tests.helpers.errors import MishapError
from tests.helpers.statements import statements

# The signals of the writes that make or change rows.
WRITES = (pre_bulk_create, post_bulk_create, pre_bulk_update, post_bulk_update, pre_update, post_update)


def refuse(sender, **kwargs):
    raise MishapError


def rows_of(received):
    """Return the instances that a receiver of rows was given."""
    return [one.payload["instance"] for one in received]


def articles(*words):
    """Return an article for each number of words, stored while nobody listens."""
    with mute():
        return [Article.objects.create(title=f"{number}", words=number) for number in words]


def wares(*names, **fields):
    with mute():
        return Ware.objects.bulk_create([Ware(name=name, **fields) for name in names])


def conflict(*unique, update):
    """Return the options of a bulk_create() that updates what is there; MariaDB looks for it by all that is unique."""
    named = {} if connection.vendor == "mysql" else {"unique_fields": [*unique]}
    return {"update_conflicts": True, "update_fields": [*update], **named}


def shapes(function):
    """Return the statements that a function needs inside a transaction, without their numbers."""
    with transaction.atomic():
        return [re.sub(r"\d+", "0", sql) for sql in statements(function)]


def outcome_of(function):
    """Return what a function returns, or what it raises."""
    try:
        with transaction.atomic():
            return function()
    except DatabaseError as error:
        return type(error)  # the text may have a number that goes up
    except Exception as error:
        return type(error), str(error)


VALUES = {
    "a number": lambda: {"words": 7},
    "a number as text": lambda: {"words": "7"},
    "a number that is cut": lambda: {"words": 7.9},
    "a number added": lambda: {"words": F("words") + 1},
    "the time of the database": lambda: {"published": Now()},
    "a time": lambda: {"published": now()},
    "nothing": lambda: {"published": None},
    "a decimal": lambda: {"price": Decimal("1.50")},
    "a decimal of fewer places": lambda: {"price": Decimal("1.5")},
    "a decimal as text": lambda: {"price": "2.5"},
    "a decimal of more places": lambda: {"price": Decimal("1.005")},
    "a decimal that is divided": lambda: {"price": F("price") / 3},
    "another value each time": lambda: {"price": Round(Random() * 100, 2)},
    "a case": lambda: {"words": Case(When(words__gt=1, then=Value(0)), default=F("words"))},
    "a text": lambda: {"title": "new"},
    "a text that is a number": lambda: {"title": 5},
    "a text that is translated": lambda: {"title": gettext_lazy("Yes")},
    "a text made of others": lambda: {"title": Concat(Upper("slug"), Value("-"), "title")},
    "a list": lambda: {"labels": ["a", {"b": None}]},
    "an object made of fields": lambda: {"labels": JSONObject(words=F("words"))},
    "the null of JSON": lambda: {"labels": Value(None, JSONField())},
    "a parent": lambda: {"author": Writer.objects.create()},
    "the key of a parent": lambda: {"author": Writer.objects.create().pk},
    "a key by its column": lambda: {"author_id": Writer.objects.create().pk},
    "no parent": lambda: {"author": None},
    "a file": lambda: {"cover": "covers/new.png"},
    "a time of elsewhere": lambda: {"published": now().astimezone(timezone(timedelta(hours=5)))},
    "a query": lambda: {"title": Subquery(Writer.objects.filter(pk=OuterRef("author")).values("name"))},
    "several fields": lambda: {"words": F("words") * 2, "title": Upper("slug"), "price": F("words")},
}


def assert_truth(write, fields, batches, rows):
    """Assert that receivers are given, of these fields, what was stored before a write and what is after it."""
    before = dict_of_rows(Article)
    write()
    after = dict_of_rows(Article)
    for name in (field.removesuffix("_id") for field in fields):
        delivered = {key: (old, new) for batch in batches for key, old, new in batch.changes(name)}
        assert delivered == differences(before, after, name)
        assert {key: changes[name] for key, changes in rows if name in changes} == delivered


def dict_of_rows(model):
    return {one.pop("pk"): one for one in model.objects.values("pk", *(field.name for field in model._meta.fields))}


def differences(before, after, name):
    return {key: (before[key][name], after[key][name]) for key in after if before[key][name] != after[key][name]}


def set_words(objects, *words):
    for one, number in zip(objects, words, strict=True):
        one.words = number
    return objects


def make_desks(count, code="a", using="default"):
    """Return a branch that has desks."""
    branch = Branch.objects.using(using).create(code=code, city=f"City of {code}")
    Desk.objects.using(using).bulk_create([Desk(branch=branch, number=number) for number in range(count)])
    return branch


def keys(rows):
    return set(rows.values_list("pk", flat=True))


NOWHERE = {"defaulted": None}


def make_loans(count, field="nulled", code="gone"):
    """Return a branch that has loans, beside the one to which they may fall."""
    Branch.objects.get_or_create(code="main")
    branch = Branch.objects.create(code=code)
    Loan.objects.bulk_create([Loan(**{**NOWHERE, field: branch}) for _ in range(count)])
    return branch
