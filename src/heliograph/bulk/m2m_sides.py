"""The many-to-many fields that have a model as their relation, and the two keys that each of its rows has."""

from __future__ import annotations

from typing import Any, NamedTuple

from django.apps import apps
from django.db.models import ManyToManyField

Pair = tuple[Any, Any]  # the key of the side with the field, and the key of the other side


class Side(NamedTuple):
    """A many-to-many field, and the attributes of its relation's rows that have the two keys."""

    field: Any
    source: str
    target: str

    def pair(self, values: Any) -> Pair:
        """Return the pair of a row, out of the values of its attributes."""
        return values[self.source], values[self.target]


def sides_of(through: Any) -> list[Side]:
    """Return the many-to-many fields that have this model as `through`; none for other models.

    Fields that only look like a ManyToManyField, such as the tags of django-taggit, are left out: the rows of their
    relations need not have two keys, and so are no pairs.
    """
    fields: list[Any] = [one for model in apps.get_models() for one in model._meta.local_many_to_many]
    return [
        _side(one, through)
        for one in fields
        if isinstance(one, ManyToManyField) and one.remote_field.through is through
    ]


def _side(field: Any, through: Any) -> Side:
    source, target = (
        through._meta.get_field(name).attname for name in (field.m2m_field_name(), field.m2m_reverse_field_name())
    )
    return Side(field, source, target)
