"""File names: which files of a storage a row names, in any file field of the project, and which no row names."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from itertools import takewhile
from pathlib import PurePosixPath
from typing import Any

from django.apps import apps
from django.db import connections, router
from django.db.models import FileField, Model
from django.utils import timezone

from heliograph.recipes.chunking import in_chunks
from heliograph.recipes.subjects import Difference, Report, no_report

logger = logging.getLogger("heliograph.recipes")

CHUNK = 500  # names in one query
AGE = timedelta(days=1)  # a younger file may belong to a row that is not committed yet


@dataclass(frozen=True)
class Files:
    """The files of one field."""

    field: Any

    @property
    def label(self) -> str:
        """The model and the field, such as "shop.Product.thumbnail"."""
        return f"{self.field.model._meta.label}.{self.field.name}"

    def remove(self, left: Mapping[str, str], using: str) -> list[Exception]:
        """Remove files that no row names; return the errors of the storage.

        `left` has the names of files, each with the name that its row has now, or "".
        """
        errors: list[Exception] = []
        for name in self.unnamed_on(using, [*left]):
            try:
                if self._may_go(name, left[name], using):
                    self.delete(name)
            except Exception as error:
                errors.append(error)
        return errors

    def _may_go(self, name: str, successor: str, using: str) -> bool:
        """Return whether the row whose file this was has another file now; log a warning if that one is missing.

        A stale copy that is saved puts back the name of a file that is gone. Then this file is the only one left.
        """
        if not successor or self.field.storage.exists(successor):
            return True
        if self.unnamed_on(using, [successor]):  # another transaction has replaced and removed it meanwhile
            return True
        logger.warning("%s: a row names %r, which is no file, so %r is kept.", self.label, successor, name)
        return False

    def unnamed_on(self, using: str, names: Sequence[str]) -> list[str]:
        """Query for the names that no row has, on a database and on that to which a router writes each model."""
        return self.unnamed(names, lambda model: {using, router.db_for_write(model)})

    def delete(self, name: str) -> None:
        """Delete a file, which may be gone already."""
        with suppress(FileNotFoundError):
            self.field.storage.delete(name)

    def unnamed(self, names: Sequence[str], aliases: Any) -> list[str]:
        """Query for the names that no row has, and that are not a default of the field.

        `aliases` returns the databases of a model that are asked. The field, its storage and its model do not matter:
        a name in another file field may stand for the same file, so that file is kept.
        """
        left = dict.fromkeys(names)
        for name in defaults_of(self.field):
            left.pop(name, None)
        for field in file_fields():
            for using in aliases(field.model):
                if left and router.allow_migrate_model(using, field.model):
                    for name in _named(field, left, using):
                        left.pop(name, None)
        return [*left]


def file_fields() -> Iterator[Any]:
    """Yield all file fields of the project that have a column."""
    for model in apps.get_models(include_auto_created=True):
        yield from own_file_fields(model)


def own_file_fields(model: type[Model]) -> Iterator[Any]:
    """Yield the file fields in the table of a model."""
    fields = model._meta.concrete_model._meta.local_concrete_fields  # type: ignore[union-attr]
    return (field for field in fields if isinstance(field, FileField))


def _named(field: Any, names: Iterable[str], using: str) -> set[str]:
    rows = field.model._base_manager.using(using)
    chunks = (rows.filter(**{f"{field.attname}__in": some}) for some in in_chunks(names, CHUNK))
    return {name for some in chunks for name in some.values_list(field.attname, flat=True)}


def defaults_of(field: Any) -> Iterator[str]:
    """Yield the names that rows have without a file of their own."""
    if field.has_default():
        yield str(field.get_default())
    if field.has_db_default():
        yield str(getattr(field.db_default, "value", field.db_default))


# --- files that no row names --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class FilesInStorage:
    """The files in the folder of a field, each of which a row should name."""

    files: Files
    folder: str

    @property
    def label(self) -> str:
        """The model and the field, such as "shop.Product.thumbnail"."""
        return self.files.label

    def describe(self) -> str:
        """Return a line for `manage.py recipes list`."""
        return f"{self.label}: each file below {self.folder!r} is named by a row"

    def count(self, using: str) -> int:
        """List the storage for the number of files."""
        return sum(1 for _ in self._walk(self.folder))

    def verify(
        self, using: str, *, repair: bool = False, after: Any = None, report: Report = no_report
    ) -> Iterator[Difference]:
        """Yield the files that no row names on any database, if they are older than a day; repairing removes them."""
        done, names = 0, (name for name in self._walk(self.folder) if after is None or name > after)
        for some in in_chunks(names, CHUNK):
            for name in self._lost(some):
                if repair:
                    self.files.delete(name)
                yield Difference(self.label, name, "in the storage", "in a row")
            done += len(some)
            report(done, some[-1])

    def _lost(self, names: Sequence[str]) -> Iterator[str]:
        before, storage = timezone.now() - AGE, self.files.field.storage
        for name in self.files.unnamed(names, lambda model: [*connections]):
            time = storage.get_modified_time(name)
            if (timezone.make_aware(time) if timezone.is_naive(time) else time) < before:
                yield name

    def _walk(self, folder: str) -> Iterator[str]:
        """Yield the names of all files below a folder, which may be missing, in the order of their names."""
        try:
            folders, names = self.files.field.storage.listdir(folder)
        except FileNotFoundError:
            return
        for name in sorted([*folders, *names]):
            path = f"{folder}/{name}"
            yield from self._walk(path) if name in folders else [path]


def folder_of(field: Any) -> str:
    """Return the folder of all files of a field: the part of `upload_to` that is the same for all; "" if unknown."""
    if callable(field.upload_to):
        return ""
    parts = PurePosixPath(str(field.upload_to)).parts
    return "/".join(takewhile(lambda part: "%" not in part, parts))
