"""Parents: the models whose tables have a part of a row, and whether the row has its primary key there too."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def with_parents(model: Any, has_same_key: bool = True) -> Iterator[tuple[Any, bool]]:
    """Yield the concrete model of a model and its multi-table parents, each with whether the key is the same there."""
    options = model._meta.concrete_model._meta
    yield options.model, has_same_key
    for parent, link in options.parents.items():
        if link is not None and not parent._meta.proxy:
            yield from with_parents(parent, has_same_key and link.primary_key)


def is_key(model: Any, field: Any) -> bool:
    """Return whether a field of a model has the primary key of its rows, also in the table of a parent."""
    return field.primary_key and any(one is field.model and is_same for one, is_same in with_parents(model))
