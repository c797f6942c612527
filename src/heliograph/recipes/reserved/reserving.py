"""Reserving: `reserve` describes items and their stock, and verifies and connects them."""

from __future__ import annotations

from decimal import Decimal
from functools import partial
from typing import Any

from django.db.models import Model

from heliograph import BeforeCommit, Condition, changed, created, raw
from heliograph.recipes.declarations import Declaration, declare, written
from heliograph.recipes.parent_locks import Link, lock_before_writes
from heliograph.recipes.reserved import refusals, stocks
from heliograph.recipes.reserved.all_items import add
from heliograph.recipes.reserved.items import Items, Taking
from heliograph.recipes.reserved.stocks import LowLevel
from heliograph.recipes.reserved.totals import subject_of
from heliograph.signals import post_delete, post_save, pre_save


def reserve(
    model: type[Model] | str,
    quantity: str,
    *,
    from_: str,
    when: Condition | None = None,
    low: int | Decimal | None = None,
    low_signal: Any = None,
    total: str | None = None,
) -> Declaration:
    """Let each row of a model take a quantity from the stock of the row to which its foreign key refers.

        is_wanted = has(is_cancelled=False)
        reserve(OrderItem, "quantity", from_="product.stock", when=is_wanted)

    New items take their quantity. When an item is changed or moved, the difference is taken or given back; when it is
    deleted, or when the condition does not hold any more, the item gives back what it has taken. Whatever a transaction
    writes is added up, and taken at its end: wholly, or not at all, with an `OutOfStock` error. Fixtures are left
    alone.

    - `when`: a condition made of `has()`; None for all rows.
    - `low` and `low_signal`: the signal is sent with `product` and `left` when `low` units or more were left of a
      product, and fewer are left now.
    - `total`: the field of the product that has the number of all units, with those that are taken, with which
      `manage.py recipes verify` compares.

    The model may be named "app.Model". Returns a `Declaration`.

    Raises TypeError, with what to do, for fields or a condition that do not fit; if models are not loaded yet, a system
    check reports it.
    """
    given = {"when": when, "low": low, "low_signal": low_signal, "total": total}
    options = {name: value for name, value in given.items() if value is not None}
    text = written("reserve", model, quantity, from_=from_, **options)
    refusals.verify_low(text, low, low_signal)

    def connect(declaration: Declaration, model: type[Model]) -> None:
        items = refusals.verified_items(text, model, quantity, from_, when)
        add(declaration, items)
        if total is not None:
            declaration.subjects = (subject_of(items.stock, refusals.verified_total(text, items.stock, total)),)
        stocks.connect(declaration, None if low is None else LowLevel(items.stock, low, low_signal))
        _connect(declaration, items)

    return declare(text, connect, model)


def _connect(declaration: Declaration, items: Items) -> None:
    declaration.connect(
        [post_save, post_delete],
        Taking(items),
        sender=items.model,
        subclasses=True,
        when=~raw & (created | changed(*items.names)),
        fetch="lock",
        bulk=True,
        delivery=BeforeCommit(batch=True),
        reentrant="allow",
    )
    stock = items.stock
    lock_before_writes(declaration, [Link(items.key, stock.model, tuple(items.names))])
    leave = partial(leave_stock, items)
    declaration.connect(pre_save, leave, sender=stock.model, subclasses=True, keeps=[stock.field.name])


def leave_stock(items: Items, sender: Any, **kwargs: Any) -> None:
    """Do nothing: `keeps=` of this receiver lets saves of products leave the stock as it is in the database."""
