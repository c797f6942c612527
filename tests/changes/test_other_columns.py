"""Saves of models whose columns have another type than their fields, as those of inherited databases may have."""

import datetime
import uuid
from decimal import Decimal

import pytest
from django.db import connection, models
from django.test.utils import isolate_apps
from django.utils.timezone import now

from heliograph import UNKNOWN, Change, changed, created
from heliograph.signals import post_save
from tests.helpers.statements import verbs

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])

VALUES = {
    "size": 5,
    "is_new": True,
    "day": datetime.date(2026, 1, 2),
    "time": datetime.time(3, 4),
    "at": now(),
    "lasts": datetime.timedelta(days=1, microseconds=5),
    "code": uuid.UUID(int=7),
    "price": Decimal("1.50"),
}


class Encrypted(models.TextField):
    """A text whose key may be lost."""

    def from_db_value(self, value, expression, connection):
        if value == "lost":
            raise ValueError("The key is lost.")
        return value


@pytest.fixture
def models_of_table():
    """A model, and another one of the same table, for which all columns are texts."""
    with isolate_apps("tests.app"):

        class Inherited(models.Model):
            size = models.IntegerField(null=True)
            is_new = models.BooleanField(null=True)
            day = models.DateField(null=True)
            time = models.TimeField(null=True)
            at = models.DateTimeField(null=True)
            lasts = models.DurationField(null=True)
            code = models.UUIDField(null=True)
            price = models.DecimalField(max_digits=8, decimal_places=2, null=True)
            secret = Encrypted(default="")

            class Meta:
                app_label = "app"

        texts = {name: models.TextField(null=True) for name in (*VALUES, "secret")}
        options = type("Meta", (), {"app_label": "app", "db_table": Inherited._meta.db_table})
        as_texts = type("AsTexts", (models.Model,), {**texts, "Meta": options, "__module__": __name__})
    with connection.schema_editor() as editor:
        editor.create_model(as_texts)
    yield Inherited, as_texts
    with connection.schema_editor() as editor:
        editor.delete_model(as_texts)


@pytest.fixture
def inherited(models_of_table):
    return models_of_table[0]


@pytest.fixture
def write_texts(models_of_table):
    """Write texts into the row of an instance, past its model."""
    return lambda one, **texts: models_of_table[1].objects.filter(pk=one.pk).update(**texts)


def test_what_a_plain_save_writes_into_a_column_of_texts_is_written_and_compared(changes_by_lock, inherited):
    got = changes_by_lock(inherited, post_save, fetch="exact", when=created | changed(*VALUES))

    for name, value in VALUES.items():
        one = inherited.objects.create(**{name: value})
        assert name == "price" or verbs(one.save) == ["UPDATE"], name
        setattr(one, name, None)
        one.save()

    assert [one for one in got if one] == [{name: Change(value, None)} for name, value in VALUES.items()]


def test_another_text_in_the_column_is_the_old_value(changes_by_lock, inherited, write_texts):
    got = changes_by_lock(inherited, post_save, fetch="exact", when=changed(*VALUES))

    for name, text in {"size": "5 kg", "is_new": "maybe", "price": "1.50 EUR"}.items():
        one = inherited.objects.create(**{name: VALUES[name]})
        write_texts(one, **{name: text})
        one.save()

    price = UNKNOWN if connection.vendor == "sqlite" else "1.50 EUR"  # Django's `DecimalField` cannot read it there
    assert got == [
        {"size": Change("5 kg", 5)},
        {"is_new": Change("maybe", True)},
        {"price": Change(price, VALUES["price"])},
    ]


def test_a_value_that_nobody_can_read_is_overwritten_and_deleted_as_django_does(
    changes_by_lock, inherited, write_texts
):
    got = changes_by_lock(inherited, when=changed("secret"))
    one, two = inherited.objects.create(secret="a"), inherited.objects.create(secret="b")
    for row in (one, two):
        write_texts(row, secret="lost")

    one.save()
    two.delete()

    assert [change["secret"].old for change in got] == [UNKNOWN, UNKNOWN]
    assert inherited.objects.get().secret == "a"
