"""Refusals: the declarations that cannot be right, each refused with what to do."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from django.db.models import DecimalField, ForeignKey, IntegerField, Model

from heliograph import Condition
from heliograph.building import Has, fields_of
from heliograph.recipes.fields import field_named
from heliograph.recipes.reserved.items import Items
from heliograph.recipes.reserved.stocks import Stock


def verify_low(text: str, low: Any, signal: Any) -> None:
    """Raise TypeError unless a number and a signal are given that belong together, or neither."""
    if low is None and signal is None:
        return
    if isinstance(low, bool) or not isinstance(low, int | Decimal) or not hasattr(signal, "send"):
        raise TypeError(f"{text}: low= takes a number, and low_signal= the signal that is sent when fewer are left.")
    try:
        inspect.signature(signal.send).bind(sender=None, product=None, left=None)
    except TypeError as error:
        raise TypeError(f"{text}: {signal!r} is sent product= and left=, and takes other names: {error}.") from error


def verified_items(text: str, model: type[Model], quantity: str, path: Any, when: Any) -> Items:
    """Return the items of a declaration. Raises TypeError, with what to do, for what cannot be right."""
    names = path.split(".") if isinstance(path, str) else ()
    if len(names) != 2:
        raise TypeError(
            f"{text}: from_= takes a foreign key and a field of its model, such as 'product.stock', not {path!r}."
        )
    model = model._meta.concrete_model  # type: ignore[assignment]
    key = _own(text, model, field_named(text, model, names[0], ForeignKey))
    product = key.remote_field.model._meta.concrete_model
    stock = Stock(_own(text, product, field_named(text, product, names[1], *_NUMBERS)))
    _verify_condition(text, model, when)
    items = Items(_own(text, model, field_named(text, model, quantity, *_NUMBERS)), key, stock, when)
    for problem in _problems(items):
        raise TypeError(f"{text}: {problem}")
    return items


def verified_total(text: str, stock: Stock, name: str) -> Any:
    """Return the field of products with this name. Raises TypeError, with what to do, if it is no number of theirs."""
    return _own(text, stock.model, field_named(text, stock.model, name, *_NUMBERS))


_NUMBERS = (IntegerField, DecimalField)


def _own(text: str, model: type[Model], field: Any) -> Any:
    """Return a field if its column is in the table of the model."""
    if field.model is not model:
        label, parent = model._meta.label, field.model._meta.label
        raise TypeError(f"{text}: {field.name!r} is a column of {parent}, from which {label} inherits. Use {parent}.")
    return field


def _verify_condition(text: str, model: type[Model], when: Any) -> None:
    for leaf in when.leaves() if isinstance(when, Condition) else [when] if when is not None else []:
        if not isinstance(leaf, Has):
            raise TypeError(
                f"{text}: when= is asked of an item as it was and as it is. Write it with has(), such as"
                f" has(is_cancelled=False), not {leaf!r}."
            )
        for problem in leaf.problems(model):
            raise problem.error(f"{text}: {problem.text} {problem.hint}")
        for one in fields_of(model, leaf.fields):
            _own(text, model, one)


def _problems(items: Items) -> Iterator[str]:
    """Yield what is wrong with items and their stock, and what to do."""
    stock, label = items.stock, items.model._meta.label
    if stock.field.null:
        yield f"{stock.label} may be NULL, from which nothing can be taken. Give it default=0, and not null=True."
    has, needs = _decimals(stock.field), _decimals(items.quantity)
    if needs > has:
        yield f"{items.label} has {needs} decimal places, and {stock.label} has {has}. Give the stock as many."
    for relation in items.model._meta.related_objects:
        if getattr(relation, "parent_link", False):
            heir = relation.related_model._meta.label
            yield (
                f"{heir} inherits from {label} with a table of its own, so that its rows are created as one of them and"
                f" deleted as both. Let it be a proxy, or give it a OneToOneField to {label}."
            )
    yield from _problems_of_deletion(items)


def _decimals(field: Any) -> int:
    return field.decimal_places if isinstance(field, DecimalField) else 0


def _problems_of_deletion(items: Items) -> Iterator[str]:
    """Yield a foreign key by which the database itself deletes items, or changes what they take."""
    for key in items.model._meta.concrete_fields:
        policy = str(getattr(key.remote_field, "on_delete", ""))
        is_gone = key is items.key and policy != "DB_SET_DEFAULT"  # with its stock
        is_concerned = policy == "DB_CASCADE" or key in items.fields
        if policy.startswith("DB_") and is_concerned and not is_gone:
            yield (
                f"{items.model._meta.label}.{key.name} has on_delete={policy}: the database writes items by itself, and"
                f" no signal is sent. Let Django do it: on_delete={policy.removeprefix('DB_')}."
            )
