"""Reserve: rows such as the items of an order take units of a stock, which never goes below zero.

The writes of a transaction are added up for each product, and the stocks are changed at its end, in one order for all
transactions. The words of an example are used throughout: an *item* has a quantity, and refers to its *product*, which
has a stock.
"""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property, partial
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import DecimalField, F, ForeignKey, IntegerField, Model, Value

from heliograph import UNKNOWN, Batch, BeforeCommit, Condition, Signal, changed, created, raw
from heliograph.conditions import Has, fields_of
from heliograph.recipes.cached_parents import cached_parents, forget
from heliograph.recipes.declarations import Declaration, declare, written
from heliograph.recipes.fields import field_named
from heliograph.recipes.inserting import locked, writing
from heliograph.recipes.parent_locks import lock_before_writes
from heliograph.recipes.stored_decimals import stored
from heliograph.recipes.subjects import CHUNK, ENDS, Difference, Sample, SubjectOfRows, ends_of
from heliograph.signals import post_delete, post_save, pre_save

State = tuple[Any, ...]  # of an item: the key of its product, its quantity, and the values that `when` asks for
Amounts = Mapping[Any, Any]  # how many units more are taken of which product, by its primary key; fewer are negative


class OutOfStock(ValidationError):  # noqa: N818  # as Django names what a caller handles: DoesNotExist
    """A transaction was refused, because it takes `wanted` units more of `product`, of which only `left` are left."""

    def __init__(self, product: Any, wanted: Any, left: Any) -> None:
        params = {"product": product, "wanted": wanted, "left": left}
        super().__init__("%(product)s: %(wanted)s wanted, %(left)s left.", code="out_of_stock", params=params)
        self.product, self.wanted, self.left = product, wanted, left

    def __str__(self) -> str:
        return str(self.messages[0])

    def __reduce__(self) -> Any:
        return type(self), (self.product, self.wanted, self.left)


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

    `reserve(OrderItem, "quantity", from_="product.stock", when=has(is_cancelled=False))` takes what new items want,
    takes or gives back the difference when an item is changed or moved, and gives back what an item has taken when it
    is deleted, or when the condition does not hold any more. Whatever a transaction writes is added up, and taken at
    its end: wholly, or not at all, with an `OutOfStock` error. Fixtures are left alone. The model may be named
    "app.Model". Returns a handle with `disconnect()`.

    `low_signal` is sent when `low` units or more were left of a product, and fewer are left now. `total` is the field
    of the product that has the number of all units, with those that are taken: `manage.py recipes verify` compares.

    Raises TypeError, with what to do, for fields or a condition that do not fit; if models are not loaded yet, a system
    check reports it.
    """
    given = {"when": when, "low": low, "low_signal": low_signal, "total": total}
    options = {name: value for name, value in given.items() if value is not None}
    text = written("reserve", model, quantity, from_=from_, **options)
    _verify_low(text, low, low_signal)

    def connect(declaration: Declaration, model: type[Model]) -> None:
        items = _verified_items(text, model, quantity, from_, when)
        _add(declaration, text, items)
        if low is not None:
            _add_level(declaration, LowLevel(items.stock, low, low_signal))
        if total is not None:
            declaration.subjects = (_subject(text, items.stock, total),)
        _connect(declaration, items)

    return declare(text, connect, model)


# Sent for each batch of items; its receiver is called once for all of them. So an item that is made in place of another
# model's row, such as that of a cart, takes only what is wanted more. It is called before the last calls, in which kept
# fields are changed: all transactions lock the rows of stocks first.
items_changed = Signal(name="heliograph.recipes.items_changed")

_lines: dict[Items, str] = {}  # where each declaration stands
_low_levels: list[LowLevel] = []


def _add(declaration: Declaration, text: str, items: Items) -> None:
    if items in _lines:
        label = items.label
        raise TypeError(f"{text}: {label} takes from {items.stock.label} already, at {_lines[items]}. Take one away.")
    items_changed.connect(change_stocks, delivery=BeforeCommit(batch=True))
    declaration.undone_by(_disconnect_after_the_last)
    _lines[items] = declaration.line
    declaration.undone_by(_lines.pop, items)


def _disconnect_after_the_last() -> None:
    if not _lines:
        items_changed.disconnect(change_stocks)


def _add_level(declaration: Declaration, level: LowLevel) -> None:
    _low_levels.append(level)
    declaration.undone_by(_low_levels.remove, level)


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
    lock_before_writes(declaration, {items.key: stock.model})
    leave = partial(leave_stock, items)
    declaration.connect(pre_save, leave, sender=stock.model, subclasses=True, keeps=[stock.field.name])


def leave_stock(items: Items, sender: Any, **kwargs: Any) -> None:
    """Do nothing: `keeps=` of this receiver lets saves of products leave the stock as it is in the database."""


# --- items --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Items:
    """The rows of a model that take a quantity of a stock."""

    quantity: Any  # the field
    key: Any  # the foreign key to the product
    stock: Stock
    when: Condition | None = field(compare=False)

    @property
    def model(self) -> type[Model]:
        """The model of the items, never a proxy."""
        model: type[Model] = self.quantity.model
        return model

    @property
    def label(self) -> str:
        """The model and its quantity, such as "shop.OrderItem.quantity"."""
        return f"{self.model._meta.label}.{self.quantity.name}"

    @cached_property
    def asked(self) -> Sequence[Any]:
        """The fields that the condition asks for, in the order of the model's columns."""
        leaves = [] if self.when is None else self.when.leaves()
        asked = {one for leaf in leaves for one in fields_of(self.model, leaf.fields)}  # type: ignore[attr-defined]
        return [one for one in self.model._meta.concrete_fields if one in asked]

    @cached_property
    def fields(self) -> Sequence[Any]:
        """The fields of a state."""
        return self.key, self.quantity, *self.asked

    @cached_property
    def names(self) -> Sequence[str]:
        """The names of the fields of a state."""
        return [one.name for one in self.fields]

    def amounts(self, batch: Batch, using: str) -> Amounts:
        """Return what a batch of items takes more of which product; only what is not zero."""
        amounts = Counter[Any]()
        for old, new in self._states(batch, using):
            for state, sign in ((old, -1), (new, 1)):
                if state is not None and state[0] is not None and self._takes(state, using):
                    amounts[state[0]] += sign * (state[1] or 0)
        return self._by_primary_keys({key: amount for key, amount in amounts.items() if amount}, using)

    def _states(self, batch: Batch, using: str) -> Iterator[tuple[State | None, State | None]]:
        """Yield the states of each item, before and after; None where there was no row."""
        rows = batch.values(*self.names)
        read = self._read([key for key, _, new in rows if new is not None and UNKNOWN in new], using)
        for key, old, new in rows:
            if old is not None and UNKNOWN in old:
                raise LookupError(f"{self.label} of {key!r}: nobody knows what it was, and how much it gives back.")
            yield old, read.get(key, new)

    def _read(self, keys: Sequence[Any], using: str) -> Mapping[Any, State]:
        """Query for the states of items of which only the database knows what was written."""
        if not keys:
            return {}
        rows = self.model._base_manager.using(using).filter(pk__in=keys)
        return {key: tuple(state) for key, *state in rows.values_list("pk", *(one.attname for one in self.fields))}

    def _by_primary_keys(self, amounts: Amounts, using: str) -> Amounts:
        """Return amounts by the primary keys of products, if the foreign key refers to another column."""
        target = self.key.target_field
        if target.primary_key or not amounts:
            return amounts
        products = self.stock.model._base_manager.using(using).filter(**{f"{target.attname}__in": [*amounts]})
        found = products.values_list(target.attname, "pk")
        return {key: amounts[value] for value, key in found if value in amounts}

    def taken(self, keys: Sequence[Any], using: str) -> Counter[Any]:
        """Query for what all items have taken of products with these primary keys."""
        product, columns = f"{self.key.name}__pk", [one.attname for one in self.fields[1:]]
        items = self.model._base_manager.using(using).filter(**{f"{product}__in": keys})
        taken = Counter[Any]()
        for state in items.values_list(product, *columns).iterator():
            if self._takes(state, using):
                taken[state[0]] += state[1] or 0
        return taken

    def are_few(self, keys: Sequence[Any], number: int, using: str) -> bool:
        """Query for whether products with these primary keys have not more items than a number."""
        items = self.model._base_manager.using(using).filter(**{f"{self.key.name}__pk__in": keys})
        return items.order_by()[: number + 1].count() <= number

    def _takes(self, state: State, using: str) -> bool:
        """Return whether the condition holds for an item with this state."""
        if self.when is None:
            return True
        item = self.model.from_db(using, [one.attname for one in self.asked], state[2:])
        return self.when.holds({"signal": post_save, "sender": self.model, "instance": item, "using": using})


class Taking:
    """The receiver of items: what a batch of them takes is taken later, together with that of others."""

    def __init__(self, items: Items) -> None:
        self.items = items
        self.__name__ = self.__qualname__ = f"reserve({items.label})"

    def __call__(self, sender: Any, batch: Batch, using: str, **kwargs: Any) -> None:
        """Let the stocks of the products be changed."""
        items = self.items
        amounts = items.amounts(batch, using)
        if amounts:
            cached = [*cached_parents(batch.sent_instances, [items.key.name], using)]
            items_changed.send(sender=Stock, using=using, stock=items.stock, amounts=amounts, cached=cached)


# --- stocks -------------------------------------------------------------------------------------------------------


def change_stocks(sender: Any, batch: Batch, using: str, **kwargs: Any) -> None:
    """Change stocks by what a transaction takes in all, or raise OutOfStock; then report those that are low now."""
    totals: dict[Stock, Counter[Any]] = {}
    for event in batch.events:
        totals.setdefault(event.kwargs["stock"], Counter()).update(event.kwargs["amounts"])
    for stock in sorted(totals, key=lambda one: one.label):
        stock.change(totals[stock], using)
    for event in batch.events:
        for product in event.kwargs["cached"]:
            forget(product, [event.kwargs["stock"].field.attname], using)
    for level in tuple(_low_levels):
        if level.stock in totals:
            level.report(totals[level.stock], using)


@dataclass(frozen=True)
class Stock:
    """The field of products that has the number of units that are left."""

    field: Any

    @property
    def label(self) -> str:
        """The model and its field, such as "shop.Product.stock"."""
        return f"{self.model._meta.label}.{self.field.name}"

    @property
    def model(self) -> type[Model]:
        """The model of the products, never a proxy."""
        model: type[Model] = self.field.model
        return model

    def change(self, amounts: Amounts, using: str) -> None:
        """Take units and give units back, by one statement for each product, in the order of their keys."""
        for key in sorted(amounts):
            products = self.products([key], using)
            if amounts[key] > 0:
                self._take(products, amounts[key], using)
            elif amounts[key] < 0:
                products.update(**self._without(amounts[key]))

    def _take(self, products: Any, wanted: Any, using: str) -> None:
        """Take units of a product, unless it has fewer; one that does not exist any more has no stock to be kept."""
        if products.filter(**{f"{self.field.name}__gte": wanted}).update(**self._without(wanted)):
            return
        for product in locked(products, using):
            left = getattr(product, self.field.attname)
            if left < wanted:
                raise OutOfStock(product, wanted, left)
            products.update(**self._without(wanted))  # others have given units back since the first statement

    def _without(self, wanted: Any) -> dict[str, Any]:
        """Return the values of an update that takes units; with a negative number, it gives them back."""
        number = Value(abs(wanted), output_field=self.field)
        left = F(self.field.name) - number if wanted > 0 else F(self.field.name) + number
        return {self.field.name: stored(left, self.field)}

    def products(self, keys: Sequence[Any], using: str) -> Any:
        """Return a query for the products with these keys."""
        return self.model._base_manager.using(using).filter(pk__in=keys)


@dataclass(frozen=True)
class LowLevel:
    """The number of units below which a stock is low, and the signal that is sent then."""

    stock: Stock
    level: Any
    signal: Any

    def report(self, amounts: Amounts, using: str) -> None:
        """Send the signal for each product of which fewer units are left now, and were not before.

        The products are locked, since they were updated by the same transaction.
        """
        for product in self._low(sorted(key for key in amounts if amounts[key] > 0), using):
            left = getattr(product, self.stock.field.attname)
            if left + amounts[product.pk] >= self.level:
                self.signal.send(sender=self.stock.model, product=product, left=left)

    def _low(self, keys: Sequence[Any], using: str) -> Iterator[Any]:
        """Query for the products, among those with these keys, whose stock is low."""
        for start in range(0, len(keys), CHUNK):
            products = self.stock.products(keys[start : start + CHUNK], using).order_by("pk")
            yield from products.filter(**{f"{self.stock.field.name}__lt": self.level})


# --- what there should be -----------------------------------------------------------------------------------------

FEW = 10_000  # items that a sample may read


@dataclass(frozen=True)
class SubjectOfStock(SubjectOfRows):
    """A stock, whose truth is a total of which the items have taken something."""

    stock: Stock
    total: Any

    def describe(self) -> str:
        return f"{self.label}: {self.total.name}, less {', '.join(items.label for items in self._items)}"

    @property
    def _items(self) -> list[Items]:
        return [items for items in _lines if items.stock == self.stock]

    def differences(self, using: str, keys: Sequence[Any]) -> Sequence[Difference]:
        """Compare stocks; those that seem to differ are compared once more, while nobody buys the products."""
        wrong = [one.key for one in self._compared(using, keys)]
        if not wrong:
            return []
        with self._locked(using, wrong):
            return [*self._compared(using, wrong)]

    def mend(self, using: str, keys: Sequence[Any]) -> None:
        with self._locked(using, keys):
            for one in [*self._compared(using, keys)]:
                self.stock.products([one.key], using).update(**{self.stock.field.name: one.truth})

    @contextmanager
    def _locked(self, using: str, keys: Sequence[Any]) -> Iterator[None]:
        """Lock products: a transaction that has written items of them waits with their stock, and is not seen."""
        with writing(self.model, using):
            list(locked(self.stock.products(keys, using), using).values_list("pk"))
            yield

    def _compared(self, using: str, keys: Sequence[Any]) -> Iterator[Difference]:
        taken = Counter[Any]()
        for items in self._items:
            taken.update(items.taken(keys, using))
        products = self.stock.products(keys, using).order_by("pk")
        for key, left, total in products.values_list("pk", self.stock.field.name, self.total.name):
            if left != total - taken[key]:
                yield Difference(self.label, key, left, total - taken[key])

    def sample(self, using: str) -> Sample:
        """Compare the products at both ends; fewer if they have many items."""
        for size in (ENDS, ENDS // 10, 1):
            keys = ends_of(self.model, using, size)
            if all(items.are_few(keys, FEW, using) for items in self._items):
                return Sample(len(keys), [*self.differences(using, keys)])
        return Sample(0, [])


def _subject(text: str, stock: Stock, name: str) -> SubjectOfStock:
    total = _own(text, stock.model, field_named(text, stock.model, name, *_NUMBERS))
    return SubjectOfStock(stock.label, stock.model, stock, total)


# --- mistakes -----------------------------------------------------------------------------------------------------


def _verify_low(text: str, low: Any, signal: Any) -> None:
    if low is None and signal is None:
        return
    if isinstance(low, bool) or not isinstance(low, int | Decimal) or not hasattr(signal, "send"):
        raise TypeError(f"{text}: low= takes a number, and low_signal= the signal that is sent when fewer are left.")
    try:
        inspect.signature(signal.send).bind(sender=None, product=None, left=None)
    except TypeError as error:
        raise TypeError(f"{text}: {signal!r} is sent product= and left=, and takes other names: {error}.") from error


def _verified_items(text: str, model: type[Model], quantity: str, path: Any, when: Any) -> Items:
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
