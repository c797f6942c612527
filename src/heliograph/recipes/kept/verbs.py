"""The verbs of the command `recipes`: list, verify and backfill."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from heliograph.recipes.kept.declarations import declarations, kept_fields
from heliograph.recipes.kept.kept_fields import KeptField
from heliograph.recipes.kept.verifying import Difference, verify


def label_of(kept: KeptField) -> str:
    """Return the label of a kept field, such as "blog.Post.comment_count"."""
    return f"{kept.parent._meta.label}.{kept.name}"


def listed() -> Iterator[str]:
    """Yield each declaration with its file and line, and below it each field with how it is kept."""
    for declaration in declarations:
        yield f"{declaration.text}  {_short(declaration.line)}"
        if declaration.problem is not None:
            yield f"    refused: {declaration.problem}"
        for kept in declaration.fields:
            columns = ", ".join(kept.columns)
            yield f"    {label_of(kept)}: {kept.kind}, from {kept.child._meta.label} ({columns})"


def _short(line: str) -> str:
    """Return a line relative to the working directory, if it is below that."""
    path, _, number = line.rpartition(":")
    found = Path(path)
    return f"{found.relative_to(Path.cwd())}:{number}" if found.is_relative_to(Path.cwd()) else line


def chosen(labels: Sequence[str]) -> list[KeptField]:
    """Return the kept fields that labels name: of an app, a model or a field; all without labels.

    Raises LookupError for a label that names none.
    """
    found: dict[KeptField, None] = {}
    for label in labels:
        of_label = [kept for kept in kept_fields() if f"{label_of(kept)}.".lower().startswith(f"{label}.".lower())]
        if not of_label:
            there = ", ".join(label_of(kept) for kept in kept_fields()) or "none"
            raise LookupError(f"There is no kept field of {label!r}. There are: {there}.")
        found.update(dict.fromkeys(of_label))
    return [*found] if labels else [*kept_fields()]


@dataclass(frozen=True)
class Start:
    """Where a backfill goes on: in which field, and after the parent with which key."""

    label: str
    key: str

    @classmethod
    def parsed(cls, text: str) -> Start:
        """Return the start that a text such as "blog.Post.comment_count:500" names."""
        label, _, key = text.partition(":")
        return cls(label, key)

    def __str__(self) -> str:
        return f"{self.label}:{self.key}"


def backfill(
    fields: Sequence[KeptField], using: str, start: Start | None, progress: Callable[[str], None], out: Any
) -> int:
    """Recount all values that are not right yet, and return how many; say on an interruption how to go on.

    Raises LookupError if there is no field to start with.
    """
    mended, report = 0, _Report(progress, start)
    try:
        for kept, after in _from(fields, start):
            report.begin(label_of(kept), kept.parent._base_manager.using(using).count())
            mended += sum(1 for _ in verify(kept, using, repair=True, after=after, report=report))
    except KeyboardInterrupt:
        out(f"Interrupted. To go on: manage.py recipes backfill{report.resuming()}")
        raise
    return mended


def _from(fields: Sequence[KeptField], start: Start | None) -> Iterator[tuple[KeptField, Any]]:
    labels = [label_of(kept) for kept in fields]
    if start is not None and start.label not in labels:
        raise LookupError(f"There is no kept field {start.label!r} to go on with. There are: {', '.join(labels)}.")
    first = 0 if start is None else labels.index(start.label)
    for at, kept in enumerate(fields[first:]):
        is_resumed = start is not None and at == 0
        yield kept, kept.parent._meta.pk.to_python(start.key) if is_resumed and start is not None else None


class _Report:
    """Shows the progress of a backfill, and remembers how far it has come."""

    def __init__(self, progress: Callable[[str], None], start: Start | None) -> None:
        self.progress = progress
        self.last = start
        self.label = ""
        self.total = 0

    def begin(self, label: str, total: int) -> None:
        """Begin with a field of so many parents."""
        self.label, self.total = label, total

    def resuming(self) -> str:
        """Return the option by which the command goes on here."""
        return "" if self.last is None else f" --after {self.last}"

    def __call__(self, done: int, key: Any) -> None:
        self.last = Start(self.label, str(key))
        share = min(done / self.total, 1) if self.total else 1
        bar = ("#" * round(share * 30)).ljust(30, ".")
        self.progress(f"{self.label} [{bar}] {done} of {self.total}")


def on_terminal(stream: Any = None) -> Callable[[str], None]:
    """Return a function that shows one line of progress, over the last one; it does nothing without a terminal."""
    stream = sys.stderr if stream is None else stream
    if not stream.isatty():
        return lambda line: None

    def show(line: str) -> None:
        stream.write(f"\r{line}\x1b[K")
        stream.flush()

    return show


def compare(fields: Sequence[KeptField], using: str, *, repair: bool) -> Iterator[Difference]:
    """Yield all values that differ from their truth, and mend them if that is asked for."""
    for kept in fields:
        yield from verify(kept, using, repair=repair)
