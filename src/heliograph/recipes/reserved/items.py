"""Items: the rows that take units of a stock, and what a batch of them takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from django.db.models import Model

from heliograph import UNKNOWN, Batch, Condition
from heliograph.building import fields_of
from heliograph.recipes.cached_parents import cached_parents
from heliograph.recipes.reserved.stocks import Amounts, Stock, items_changed
from heliograph.signals import post_save

State = tuple[Any, ...]  # of an item: the key of its product, its quantity, and the values that `when` asks for


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
        """Return how many units more a batch of items takes, by the product, without zeros."""
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
    """The receiver of items: it sends what a batch takes, which is taken at the end of the transaction."""

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
