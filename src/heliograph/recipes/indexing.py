"""Indexing: receivers store which rows a transaction has changed, and workers write the documents of these rows.

A transaction that changes rows stores their primary keys, as deliveries of up to 500 keys. A worker reads the rows as
they are by then, writes their documents, and reads the rows again, until it has written what it reads. So the order in
which workers come does not matter: a worker that has written something old finds that out, and writes again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, runtime_checkable

from django.db.models import Model, Q

from heliograph import Batch, Discard, Signal
from heliograph.outbox import ThisDelivery
from heliograph.recipes.chunking import in_chunks
from heliograph.recipes.search.document_index import DocumentIndex
from heliograph.recipes.subjects import Difference, Report, Sample, SubjectOfRows, no_report

Document = Mapping[str, Any]  # the values of a row, by the names that the declaration has for them

CHUNK = 500  # rows of a delivery
DOWN = 3  # an index that refuses the first so many rows takes none
ROUNDS = 10  # so often rows are read and written, before the attempt has failed

TakesNone = Callable[[Exception], object]


def raise_error(error: Exception) -> None:
    """Raise the error of an index that takes nothing."""
    raise error


rows_to_index = Signal(name="heliograph.recipes.rows_to_index")
related_rows_to_index = Signal(name="heliograph.recipes.related_rows_to_index")


@runtime_checkable
class SearchBackend(Protocol):
    """The protocol of an index for `search_index()`, such as one of a search server.

    A worker of the outbox calls it; an exception is followed by another attempt.
    """

    def write(self, documents: Mapping[Any, Document], using: str) -> None:
        """Store documents, by the primary keys of their rows, in the place of older ones; return when this is done.

        A document is a dict of texts by the names of the fields. `using` is the alias of the database of the rows.
        """

    def remove(self, pks: Collection[Any], using: str) -> None:
        """Remove the documents of the rows with these primary keys; it is no error if some are not there."""


@runtime_checkable
class ComparableBackend(SearchBackend, Protocol):
    """The protocol of a `SearchBackend` that `manage.py recipes verify` can compare with the rows."""

    def wrong(self, documents: Mapping[Any, Document], pks: Collection[Any], using: str) -> Mapping[Any, str]:
        """Return what is wrong with the stored documents of the rows `pks`, by their primary keys, such as "missing".

        The index should have exactly the given `documents` for these rows.
        """

    def pks(self, using: str) -> Iterator[Any]:
        """Yield the primary keys of all stored documents; they may be texts."""


class IndexingError(Exception):
    """Some documents could not be written; the others are. The delivery is attempted again."""


# --- the documents ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Index:
    """The documents of the rows of one model."""

    model: type[Model]
    fields: tuple[str, ...]
    when: Q
    into: SearchBackend

    def name_of(self, receiver: str) -> str:
        """Return the name of a receiver, by which workers find it."""
        return f"search_index({self.model._meta.label}){receiver}"

    def documents(self, pks: Collection[Any], using: str) -> dict[Any, Document]:
        """Query for the documents that these rows should have, without rows that should have none."""
        rows = self.model._base_manager.using(using).filter(self.when, pk__in=pks).order_by("pk")
        names = [name.replace(".", "__") for name in self.fields]
        return {pk: dict(zip(self.fields, values, strict=True)) for pk, *values in rows.values_list("pk", *names)}

    def follow(self, pks: Collection[Any], using: str) -> None:
        """Let the index have what the rows have now, whatever other workers and the site do meanwhile."""
        documents = self.documents(pks, using)
        for _ in range(ROUNDS):
            self._store(documents, pks, using)
            now = self.documents(pks, using)
            pks = [pk for pk in pks if documents.get(pk) != now.get(pk)]
            if not pks:
                return
            documents = now
        raise IndexingError(
            f"{self.name_of('')}: the rows {pks!r} are never read as they were written, {ROUNDS} times. They change too"
            " often, or a field has values that equal nothing, such as NaN."
        )

    def follow_each(self, pks: Sequence[Any], using: str, takes_none: TakesNone) -> dict[Any, Exception]:
        """Let the index have what the rows have now, row by row. Return the errors of those that it refuses.

        `takes_none` is called with an error if the index refuses the first rows: it may be away.
        """
        refused: dict[Any, Exception] = {}
        for number, pk in enumerate(pks, 1):
            try:
                self.follow([pk], using)
            except Exception as error:
                refused[pk] = error
                if len(refused) == number == DOWN:
                    takes_none(error)
        return refused

    def _store(self, documents: Mapping[Any, Document], pks: Collection[Any], using: str) -> None:
        due = {pk: document for pk, document in documents.items() if pk in {*pks}}
        gone = [pk for pk in pks if pk not in documents]
        if due:
            self.into.write(due, using)
        if gone:
            self.into.remove(gone, using)

    def send(self, pks: Iterable[Any], using: str) -> None:
        """Store deliveries for these rows in the open transaction."""
        for chunk in in_chunks(sorted({*pks}), CHUNK):
            rows_to_index.send(sender=self.model, pks=chunk, using=using)


# --- receivers in the transaction ---------------------------------------------------------------------------------


class CollectingRows:
    """The receiver of rows that a transaction has changed."""

    def __init__(self, index: Index) -> None:
        self.index = index
        self.__name__ = self.__qualname__ = index.name_of("")

    def __call__(self, sender: Any, batch: Batch, using: str, **kwargs: Any) -> None:
        """Store deliveries with the keys of the rows."""
        self.index.send(_keys_of(batch, sender, self.index.model), using)


class CollectingRelated:
    """The receiver of rows to which the rows of an index refer."""

    def __init__(self, index: Index, path: str, model: type[Model]) -> None:
        self.index, self.path, self.model = index, path, model
        self.__name__ = self.__qualname__ = index.name_of(f".{path}")

    def __call__(self, sender: Any, batch: Batch, using: str, **kwargs: Any) -> None:
        """Store deliveries with the keys of these rows: a worker looks for those that refer to them."""
        for chunk in in_chunks(_keys_of(batch, sender, self.model), CHUNK):
            related_rows_to_index.send(sender=self.index.model, path=self.path, pks=chunk, after=None, using=using)


def _keys_of(batch: Batch, sender: Any, model: type[Model]) -> Iterator[Any]:
    """Yield the keys of rows of a model; a row of a child by inheritance may have another key there.

    A database that does not return the keys of inserted rows leaves some unknown.
    """
    is_own, name = sender._meta.concrete_model is model._meta.concrete_model, model._meta.pk.attname
    keys = batch.pks if is_own else [getattr(one, name) for one in batch.instances]
    yield from (key for key in [*keys, *(getattr(one, name) for one in batch.unknown)] if key is not None)


# --- receivers in a worker ----------------------------------------------------------------------------------------


class IndexingRows:
    """The receiver that writes documents."""

    def __init__(self, index: Index) -> None:
        self.index = index
        self.__name__ = self.__qualname__ = index.name_of("")

    def __call__(self, sender: Any, pks: Sequence[Any], using: str, delivery: ThisDelivery, **kwargs: Any) -> None:
        """Write the documents of rows; row by row, if they were refused together."""
        if delivery.attempt == 1 or len(pks) == 1:
            self.index.follow(pks, using)
        else:
            self._one_by_one(pks, using)

    def _one_by_one(self, pks: Sequence[Any], using: str) -> None:
        refused = self.index.follow_each(pks, using, raise_error)
        if refused:
            first = next(iter(refused.values()))
            keys = ", ".join(map(repr, refused))
            raise IndexingError(f"{len(refused)} of {len(pks)} rows are not indexed ({keys}): {first}") from first


class FollowingRelated:
    """The receiver that looks for the rows that refer to others which were changed, so many at a time."""

    def __init__(self, index: Index, paths: Collection[str]) -> None:
        self.index, self.paths = index, paths
        self.__name__ = self.__qualname__ = index.name_of(".related")

    def __call__(
        self, sender: Any, path: str, pks: Sequence[Any], after: Any, using: str, **kwargs: Any
    ) -> Discard | None:
        """Store a delivery for the next rows, and one that goes on behind them."""
        if path not in self.paths:
            return Discard(f"{self.__name__} has no path {path!r} any more")
        rows = self.index.model._base_manager.using(using).filter(**{f"{path}__pk__in": pks}).order_by("pk")
        rows = rows if after is None else rows.filter(pk__gt=after)
        found = [*rows.values_list("pk", flat=True)[:CHUNK]]
        self.index.send(found, using)
        if len(found) == CHUNK:
            related_rows_to_index.send(sender=self.index.model, path=path, pks=pks, after=found[-1], using=using)
        return None


# --- rebuilding ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SubjectOfIndex(SubjectOfRows):
    """The documents of an index: of each row, and those that have no row."""

    index: Index

    def describe(self) -> str:
        return f"{self.label}: {', '.join(self.index.fields)}"

    def differences(self, using: str, keys: Sequence[Any]) -> Iterator[Difference]:
        into = self.index.into
        if isinstance(into, ComparableBackend):
            wrong = into.wrong(self.index.documents(keys, using), keys, using)
            yield from (Difference(self.label, pk, problem, "the row") for pk, problem in wrong.items())

    def mend(self, using: str, keys: Sequence[Any]) -> Mapping[Any, str]:
        try:
            self.index.follow(keys, using)
        except Exception:  # of a search server, which may raise any
            refused = self.index.follow_each(keys, using, partial(self._verify_there, using, keys))
            return {pk: _remedy(error) for pk, error in refused.items()}
        return {}

    def _verify_there(self, using: str, keys: Sequence[Any], error: Exception) -> None:
        """Raise an error if the index is away; else it has only refused some documents."""
        if not isinstance(self.index.into, ComparableBackend):
            raise error
        self.index.into.wrong({}, keys[:1], using)

    def sample(self, using: str) -> Sample:
        """Compare a few rows, if the documents are in the database: a search server may be away at a deployment."""
        return super().sample(using) if isinstance(self.index.into, DocumentIndex) else Sample(0, [])

    def verify(
        self, using: str, *, repair: bool = False, after: Any = None, report: Report = no_report
    ) -> Iterator[Difference]:
        """Yield what differs, written anew if that is asked for; an index that says nothing is written as a whole."""
        into = self.index.into
        if isinstance(into, ComparableBackend):
            yield from super().verify(using, repair=repair, after=after, report=report)
            yield from self._left_over(into, using, repair)
        elif repair:
            yield from self._write_all(using, after, report)

    def _left_over(self, into: ComparableBackend, using: str, repair: bool) -> Iterator[Difference]:
        for keys in in_chunks(map(self.model._meta.pk.to_python, into.pks(using)), CHUNK):
            there = {*self.model._base_manager.using(using).filter(pk__in=keys).values_list("pk", flat=True)}
            found = [Difference(self.label, pk, "left over", "gone") for pk in keys if pk not in there]
            yield from self._mended(using, found) if repair else found

    def _write_all(self, using: str, after: Any, report: Report) -> Iterator[Difference]:
        done = 0
        for keys in self._chunks(using, after):
            left = self.mend(using, keys)
            yield from (Difference(self.label, pk, "not written", "the row", remedy) for pk, remedy in left.items())
            done += len(keys)
            report(done, keys[-1])


def _remedy(error: Exception) -> str:
    return f"The index refuses it ({type(error).__name__}: {error}): correct the row or the index, and repeat"
