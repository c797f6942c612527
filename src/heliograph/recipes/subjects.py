"""Subjects: what a declaration keeps right, and `manage.py recipes` compares, mends and fills."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

from django.db.models import Model

CHUNK = 500  # rows that are compared at once
ENDS = 100  # rows of a sample, with the lowest primary keys and with the highest ones

Report = Callable[[int, Any], None]  # called with the number of rows so far, and the last key


def no_report(done: int, key: Any) -> None:
    """Do nothing, where nobody looks at the progress."""


@dataclass(frozen=True)
class Difference:
    """A stored value that is not the truth."""

    label: str  # of the subject
    key: Any  # of the row
    stored: Any
    truth: Any
    remedy: str = ""  # what to do, where `--repair` cannot mend it

    def __str__(self) -> str:
        text = f"{self.label} of {self.key!r} is {self.stored}, not {self.truth}"
        return f"{text}. {self.remedy}." if self.remedy else text


@dataclass(frozen=True)
class Sample:
    """What differs in a few rows."""

    size: int  # how many rows were compared
    found: Sequence[Difference]


class Subject(Protocol):
    """What can be compared with its truth, such as a field of a model."""

    @property
    def label(self) -> str:
        """The name by which the command chooses it: "app.Model", with what follows, such as "blog.Post.comments"."""

    def describe(self) -> str:
        """Return a line for `manage.py recipes list`."""

    def count(self, using: str) -> int:
        """Query for the number of rows that are compared."""

    def verify(
        self, using: str, *, repair: bool = False, after: Any = None, report: Report = no_report
    ) -> Iterator[Difference]:
        """Yield what differs, mended if that is asked for; `after` is a key that `report` got, or its text.

        The site may go on writing meanwhile.
        """


@runtime_checkable
class SampledSubject(Subject, Protocol):
    """A subject of which a few rows can be compared."""

    def sample(self, using: str) -> Sample:
        """Compare so few rows that it takes no time; a system check does it at each deployment."""


@dataclass(frozen=True)
class SubjectOfRows:
    """A subject whose truth can be said of some rows of a model at a time; they are walked in the order of keys."""

    label: str
    model: type[Model]

    def describe(self) -> str:
        """Return a line for `manage.py recipes list`."""
        return self.label

    def differences(self, using: str, keys: Sequence[Any]) -> Iterable[Difference]:
        """Return what differs in the rows with these primary keys."""
        raise NotImplementedError(f"{type(self).__name__} must define differences(using, keys).")

    def mend(self, using: str, keys: Sequence[Any]) -> Mapping[Any, str] | None:
        """Mend rows that differ, while the site may go on writing; return what to do about those left, by key."""
        raise NotImplementedError(f"{type(self).__name__} must define mend(using, keys).")

    def count(self, using: str) -> int:
        """Query for the number of rows."""
        return self.model._base_manager.using(using).count()

    def verify(
        self, using: str, *, repair: bool = False, after: Any = None, report: Report = no_report
    ) -> Iterator[Difference]:
        """Yield what differs, mended if that is asked for."""
        done = 0
        for keys in self._chunks(using, after):
            found = [*self.differences(using, keys)]
            yield from self._mended(using, found) if repair else found
            done += len(keys)
            report(done, keys[-1])

    def _mended(self, using: str, found: Sequence[Difference]) -> Iterator[Difference]:
        """Mend rows, and yield what differed in them, with what to do about the rows that are left."""
        keys = [one.key for one in found if not one.remedy]
        left = (self.mend(using, keys) if keys else None) or {}
        return (replace(one, remedy=left.get(one.key, one.remedy)) for one in found)

    def sample(self, using: str) -> Sample:
        """Compare the rows at both ends."""
        keys = ends_of(self.model, using, ENDS)
        return Sample(len(keys), [*self.differences(using, keys)])

    def _chunks(self, using: str, after: Any) -> Iterator[list[Any]]:
        """Yield primary keys in order, so many at a time; those after a key, if one is given."""
        after = None if after is None else self.model._meta.pk.to_python(after)
        while True:
            rows = self.model._base_manager.using(using).order_by("pk")
            rows = rows if after is None else rows.filter(pk__gt=after)
            keys = [*rows.values_list("pk", flat=True)[:CHUNK]]
            if keys:
                yield keys
            if len(keys) < CHUNK:
                return
            after = keys[-1]


def ends_of(model: type[Model], using: str, size: int) -> list[Any]:
    """Query for the primary keys of the first and of the last rows."""
    keys = model._base_manager.using(using).values_list("pk", flat=True)
    return [*dict.fromkeys([*keys.order_by("pk")[:size], *keys.order_by("-pk")[:size]])]
