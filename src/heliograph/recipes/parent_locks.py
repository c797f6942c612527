"""Parent locks: on MariaDB and MySQL, parents that a recipe will update are locked before their children are written.

MariaDB and MySQL take a shared lock on the parent of a new child. Two transactions that have both added a child, and
then both update its parent, wait for each other. So the parent is locked for an update before the child is written: a
new child's parent, and the old and the new parent of a child that moves.

All transactions lock in one order: a child that exists before its parents, the parents of the lowest rank first, and
the rows of a model in the order of their keys. Items of an order that a customer has given to another one have two ways
to customers, `item.order.customer` and `item.receiver`. If the receiver is locked before an item is written, the order
and its customer are locked with it: at the end of the transaction they would be locked in the wrong order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connections

from heliograph import UNKNOWN, Batch, BeforeWrite, changed, created, receiver
from heliograph.recipes.chunking import in_chunks
from heliograph.recipes.declarations import Declaration
from heliograph.signals import pre_save

CHUNK = 500  # rows that one query locks: MariaDB reads the whole table for a list of a thousand keys

# --- the order of parents -----------------------------------------------------------------------------------------

# The pairs of models, a child and its parent, of all declarations; a pair of two declarations is there twice.
_pairs: list[tuple[Any, Any]] = []


def order(declaration: Declaration, child: Any, parent: Any) -> None:
    """Let parents come after their children, wherever rows of both are locked, until a declaration is disconnected."""
    _pairs.append((child, parent))
    declaration.undone_by(_pairs.remove, (child, parent))


def rank_of(model: Any, above: tuple[Any, ...] = ()) -> int:
    """Return how many models, each the parent of the one before, lead to a model; 0 if its children are no parents.

    The lines of an order are no parents, so orders have rank 0, and their customers rank 1.
    """
    parents = {parent for _, parent in _pairs} - {model, *above}
    below = {child for child, parent in _pairs if parent is model and child in parents}
    return max((rank_of(one, (*above, model)) + 1 for one in below), default=0)


# --- locks before writes ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Link:
    """A foreign key of children by which a recipe finds the parents that it updates."""

    key: Any
    parent: Any
    names: tuple[str, ...] = ()  # of the fields of children by which a column of the parents changes

    @property
    def column(self) -> str:
        """The name of the parent's column that the foreign key refers to."""
        return str(self.key.target_field.attname)


_links: list[Link] = []  # of all declarations; a link of two declarations is there twice


def lock_before_writes(declaration: Declaration, links: Iterable[Link]) -> None:
    """Let parents be locked before children are written that will refer to them.

    On databases that do not need it nothing is connected.
    """
    for link in links:
        order(declaration, link.key.model, link.parent)
        _links.append(link)
        declaration.undone_by(_remove, link)
        _connect(link.key.model)


def _remove(link: Link) -> None:
    _links.remove(link)
    _connect(link.key.model)


def _connect(child: Any) -> None:
    """Connect one receiver for all foreign keys of a model, in place of the one for those before."""
    found: dict[str, Any] = {"sender": child, "subclasses": True, "dispatch_uid": "heliograph.recipes lock_parents"}
    pre_save.disconnect(**found)
    aliases, links = [*filter(is_needed, connections)], _links_of(child)
    if not (aliases and links):
        return
    locker = Locker(links)
    # A row that gets another primary key is a new one to the database, which checks its foreign keys again.
    names = dict.fromkeys([child._meta.pk.name, *locker.names, *(name for link in links for name in link.names)])
    when, policy = created | changed(*names), BeforeWrite()
    options: Any = {"when": when, "fetch": "lock", "bulk": True, "delivery": policy, "using": aliases, "weak": False}
    receiver(pre_save, **found, **options)(locker)


def _links_of(child: Any) -> Sequence[Link]:
    return [*dict.fromkeys(link for link in _links if link.key.model is child)]


def is_needed(using: str) -> bool:
    """Return whether the check of a foreign key and an UPDATE of the parent exclude each other on a database."""
    features = connections[using].features
    return bool(features.has_select_for_update and not features.has_select_for_no_key_update)


Keys = dict[Any, dict[str, set[Any]]]  # of parents, by their model and the column


class Locker:
    """The receiver that locks parents before children are written that refer to them."""

    def __init__(self, links: Sequence[Link]) -> None:
        self.links = links
        self.names = tuple(link.key.name for link in links)
        shown = ", ".join(f"{link.key.model._meta.label}.{link.key.name}" for link in links)
        self.__name__ = self.__qualname__ = f"lock_parents({shown})"

    def __call__(self, sender: Any, batch: Batch, using: str, **kwargs: Any) -> None:
        """Lock the parents of new children, and the old and new parents of children that move.

        The other parents that the write concerns are locked too, since they would be locked later: those of a lower
        rank, those of children that stay where they are, and the parents of them all.
        """
        rows = [(old, new) for _, old, new in batch.values(*self.names, sender._meta.pk.name)]
        moved = [link for at, link in enumerate(self.links) if any(_is_moved(at, old, new) for old, new in rows)]
        highest = max((rank_of(link.parent) for link in moved), default=-1)
        states = [*self._covered(sender, batch, using), *(row for pair in rows for row in pair if row is not None)]
        due: Keys = {}
        for at, link in enumerate(self.links):
            _add(due, link, (row[at] for row in states))
        _lock_up_to(highest, due, using)

    def _covered(self, sender: Any, batch: Batch, using: str) -> Iterator[tuple[Any, ...]]:
        """Lock rows over which new rows of an inheriting model are about to be saved, and yield their foreign keys."""
        child = self.links[0].key.model
        keys = [getattr(one, child._meta.pk.attname) for one in batch.created]
        if sender._meta.concrete_model is not child and keys != [None]:
            yield from locked(child, keys, using, names=[link.key.attname for link in self.links])


def _is_moved(at: int, old: Any, new: Any) -> bool:
    """Return whether the database will check the foreign key of a child."""
    return new[at] is not None and (old is None or (old[at], old[-1]) != (new[at], new[-1]))


def _add(due: Keys, link: Link, keys: Iterable[Any]) -> None:
    found = {*keys} - {None, UNKNOWN}
    if found:
        due.setdefault(link.parent, {}).setdefault(link.column, set()).update(found)


def _lock_up_to(highest: int, due: Keys, using: str) -> None:
    """Lock parents, and the parents of these, in order of their ranks, as far as these are not above a rank."""
    done: set[Any] = set()
    while due:
        rank, _, parent = min(((rank_of(one), one._meta.label, one) for one in due), key=lambda found: found[:2])
        if rank > highest:
            return
        done.add(parent)
        links = [link for link in _links_of(parent) if link.parent not in done]  # a node's parent is a node
        names = [link.key.attname for link in links]
        by_column = sorted(due.pop(parent).items())
        rows = [row for column, keys in by_column for row in locked(parent, [*keys], using, column, names)]
        for at, link in enumerate(links):
            _add(due, link, (row[at] for row in rows))


def locked(
    parent: Any, keys: Sequence[Any], using: str, column: str = "pk", names: Sequence[str] = ()
) -> Iterator[tuple[Any, ...]]:
    """Lock parents in the order of their keys, and yield the values of some columns and the primary key.

    On PostgreSQL `FOR NO KEY UPDATE` goes along with the lock that the foreign key of a new child takes.
    """
    no_key = connections[using].features.has_select_for_no_key_update
    rows = parent._base_manager.using(using).order_by("pk").select_for_update(no_key=no_key).values_list(*names, "pk")
    # A single query orders them itself, also those of which one has a wrong type, so that the database refuses it.
    ordered = sorted(keys) if len(keys) > CHUNK else keys
    for some in in_chunks(ordered, CHUNK):
        yield from rows.filter(**{f"{column}__in": some})


def lock(parent: Any, keys: Sequence[Any], using: str) -> None:
    """Lock parents, given by their primary keys, where a database locks rows."""
    if connections[using].features.has_select_for_update:
        for _ in locked(parent, keys, using):
            pass
