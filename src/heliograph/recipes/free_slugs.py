"""Free slugs: for each row that is about to be written, the first slug that no other row has, found by one query.

The tenth row with the title "Tea" gets `tea-10`. From the twenty-first on, a row gets six random consonants in place of
a number, so that ten thousand rows with one title cost no more than twenty.

Two transactions may choose the same slug, since neither sees the uncommitted row of the other. The unique constraint
lets the second one wait for the first, and then refuses it. The refused row gets consonants, and is written again. A
lock for each title was the alternative: it costs one statement more for each row, other writers do not take it, and
MariaDB does not detect a deadlock of such a lock (GET_LOCK) and a row.

The suffix has no digits because of MariaDB and MySQL. A transaction that was refused `tea-5` keeps a shared lock on
this entry of the index, and on the gap before it. `tea-48213` belongs in this gap, so two refused transactions would
wait for each other: eight threads had 14 deadlocks in 2,400 rows. `tea-x...` belongs behind all numbers: they had none.
"""

from __future__ import annotations

import secrets
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import connections
from django.db.models import Model, Q

from heliograph.recipes.chunking import in_chunks
from heliograph.recipes.inserting import is_immediate, values_of

NUMBERS = 20  # as many slugs are tried before a random one
CONSONANTS = "bcdfghjkmnpqrstvwxz"  # of a random suffix, which spells no word
LENGTH = 6  # of a random suffix

_MOST = 5000  # as many slugs one query looks up, where the database has no limit


@dataclass(frozen=True)
class Scope:
    """A unique constraint with the slug: the rows with equal values in these fields, and that meet the condition."""

    fields: tuple[Any, ...]
    condition: Q | None = None
    queries: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)  # by alias

    def query(self, slug: Any, using: str) -> Any:
        """Return the query for keys, slugs, and values of these fields; it is built once, and each use narrows it."""
        if using not in self.queries:
            names = [one.attname for one in self.fields]
            rows = slug.model._base_manager.using(using)
            self.queries[using] = rows.values_list("pk", slug.attname, *names)
        return self.queries[using]


def scopes_of(slug: Any) -> list[Scope]:
    """Return the scopes in which the database keeps a field unique at each statement."""
    options, name = slug.model._meta, slug.name
    names = [([name], None)] if slug.unique else []
    names += [(fields, None) for fields in options.unique_together]
    names += [(one.fields, one.condition) for one in options.constraints if is_immediate(one)]
    return [
        Scope(tuple(options.get_field(one) for one in fields if one != name), condition)
        for fields, condition in names
        if name in fields
    ]


# --- texts --------------------------------------------------------------------------------------------------------


def numbered(base: str, most: int | None, count: int) -> Iterator[str]:
    """Yield so many slugs: "tea", "tea-2", "tea-3"."""
    yield base
    yield from (with_suffix(base, str(number), most) for number in range(2, count + 1))


def at_random(base: str, most: int | None) -> str:
    """Return a slug with a random suffix."""
    return with_suffix(base, "".join(secrets.choice(CONSONANTS) for _ in range(LENGTH)), most)


def with_suffix(base: str, suffix: str, most: int | None) -> str:
    """Return a slug with a suffix, cut so that it is not too long."""
    return f"{cut(base, most, room=len(suffix) + 1)}-{suffix}"


def cut(text: str, most: int | None, room: int = 0) -> str:
    """Return a slug that leaves room for more; it does not end in a dash."""
    return text if most is None or len(text) + room <= most else text[: most - room].rstrip("-_")


def folded(slug: str) -> str:
    """Return a slug as a database may compare it: on MariaDB "Über" is "uber"."""
    marked = unicodedata.normalize("NFKD", slug.casefold())
    return "".join(one for one in marked if not unicodedata.combining(one))


# --- rows ---------------------------------------------------------------------------------------------------------

Key = tuple[Scope, tuple[Any, ...], str]  # of which there is one row: the values of the scope, and the slug


@dataclass(frozen=True)
class Taken:
    """The slugs that rows have: stored ones, and those of rows that are about to be written."""

    slug: Any  # the field
    scopes: Sequence[Scope]
    owners: dict[Key, Any] = field(default_factory=dict)  # the primary key of a stored row, or an instance

    def read(self, instances: Sequence[Model], slugs: Sequence[str], using: str) -> None:
        """Query for the stored rows that have one of these slugs, in the scopes of these instances."""
        most = connections[using].features.max_query_params or _MOST
        values = len(instances) * max(len(scope.fields) for scope in self.scopes)
        size = max(min(most, _MOST) - values, 100)
        for some in in_chunks(slugs, size):
            for scope in self.scopes:
                self._read(scope, instances, some, using)

    def _read(self, scope: Scope, instances: Sequence[Model], slugs: Sequence[str], using: str) -> None:
        asked = Q((f"{self.slug.attname}__in", slugs))
        for one in (_shares(scope, instances), scope.condition):
            asked = asked & one if one else asked
        for key, slug, *values in scope.query(self.slug, using).filter(asked):
            self.owners[scope, tuple(values), folded(slug)] = key

    def is_free(self, instance: Model, slug: str) -> bool:
        """Return whether an instance may have a slug, because no other row has it."""
        owners = [self.owners[key] for key in self._keys(instance, slug) if key in self.owners]
        return all(owner is instance or (owner == instance.pk and owner is not None) for owner in owners)

    def add(self, instance: Model, slug: str) -> None:
        """Let an instance have a slug."""
        self.owners.update(dict.fromkeys(self._keys(instance, slug), instance))

    def _keys(self, instance: Model, slug: str) -> Iterator[Key]:
        return ((scope, values_of(instance, scope.fields), folded(slug)) for scope in self.scopes)


def _shares(scope: Scope, instances: Iterable[Model]) -> Q:
    """Return the condition that each value of the scope of a row is a value of one of the instances."""
    found = Q()
    for at, one in enumerate(scope.fields):
        values = {values_of(instance, scope.fields)[at] for instance in instances}
        known = Q((f"{one.attname}__in", values - {None}))
        found &= known | Q((f"{one.attname}__isnull", True)) if None in values else known
    return found


def first_free(
    taken: Taken, wanted: Sequence[tuple[Model, str]], reserved: frozenset[str], using: str
) -> Mapping[int, str]:
    """Return a free slug for each instance, by its `id`, given what its slug begins with. It takes one query."""
    most, counts = taken.slug.max_length, Counter(base for _, base in wanted)
    numbers = {base: [*numbered(base, most, NUMBERS + count - 1)] for base, count in counts.items()}
    slugs = dict.fromkeys(slug for some in numbers.values() for slug in some)
    taken.read([instance for instance, _ in wanted], [*slugs], using)
    found: dict[int, str] = {}
    for instance, base in wanted:
        free = (one for one in numbers[base] if folded(one) not in reserved and taken.is_free(instance, one))
        found[id(instance)] = slug = next(free, None) or at_random(base, most)
        taken.add(instance, slug)
    return found
