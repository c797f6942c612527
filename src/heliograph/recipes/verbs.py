"""The verbs of the command `recipes`: list, verify and backfill."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from heliograph.recipes.declarations import declarations
from heliograph.recipes.subjects import Difference, Subject


def listed() -> Iterator[str]:
    """Yield each declaration with its file and line, and below it what can be verified of it."""
    for declaration in declarations:
        yield f"{declaration.text}  {_short(declaration.line)}"
        if declaration.problem is not None:
            yield f"    refused: {declaration.problem}"
        for subject in declaration.subjects:
            yield f"    {subject.describe()}"


def _short(line: str) -> str:
    """Return a line relative to the working directory, if it is below that."""
    path, _, number = line.rpartition(":")
    found = Path(path)
    return f"{found.relative_to(Path.cwd())}:{number}" if found.is_relative_to(Path.cwd()) else line


def chosen(labels: Sequence[str]) -> list[Subject]:
    """Return the subjects that labels name: of an app, a model or a subject itself; all without labels.

    Raises LookupError for a label that names none.
    """
    subjects = [subject for declaration in declarations for subject in declaration.subjects]
    found: dict[int, Subject] = {}
    for label in labels:
        of_label = [one for one in subjects if f"{one.label}.".lower().startswith(f"{label}.".lower())]
        if not of_label:
            raise LookupError(f"There is nothing to verify of {label!r}. {_there_are(subjects)}")
        found.update({id(one): one for one in of_label})
    return [*found.values()] if labels else subjects


def _there_are(subjects: Sequence[Subject]) -> str:
    return f"There are: {', '.join(one.label for one in subjects) or 'none'}."


@dataclass(frozen=True)
class Start:
    """Where a backfill goes on: in which subject, and after the row with which key."""

    label: str
    key: str

    @classmethod
    def parsed(cls, text: str) -> Start:
        """Return the start that a text such as "blog.Post.comment_count:500" names."""
        label, _, key = text.partition(":")
        return cls(label, key)

    def __str__(self) -> str:
        return f"{self.label}:{self.key}"


@dataclass
class Tally:
    """How many differences a command has mended, and how many are left."""

    mended: int = 0
    left: int = 0

    def add(self, *, is_mended: bool) -> None:
        """Count a difference."""
        self.mended += is_mended
        self.left += not is_mended

    def text(self, verb: str) -> str:
        """Return how many were mended, said by a verb, and how many are left if any are."""
        return f"{self.mended} {verb}, {self.left} left" if self.left else f"{self.mended} {verb}"


def backfill(
    subjects: Sequence[Subject], using: str, start: Start | None, progress: Callable[[str], None], out: Any
) -> Tally:
    """Mend all that is not right yet, and return how much; say what is left, and on an interruption how to go on.

    Raises LookupError if there is no subject to start with.
    """
    tally, report = Tally(), _Report(progress, start)
    try:
        for subject, after in _from(subjects, start):
            report.begin(subject.label, subject.count(using))
            for one in subject.verify(using, repair=True, after=after, report=report):
                tally.add(is_mended=not one.remedy)
                if one.remedy:
                    out(str(one))
    except KeyboardInterrupt:
        out(f"Interrupted. To go on: manage.py recipes backfill{report.resuming()}")
        raise
    return tally


def _from(subjects: Sequence[Subject], start: Start | None) -> Iterator[tuple[Subject, str | None]]:
    labels = [subject.label for subject in subjects]
    if start is not None and start.label not in labels:
        raise LookupError(f"There is no {start.label!r} to go on with. {_there_are(subjects)}")
    first = 0 if start is None else labels.index(start.label)
    for at, subject in enumerate(subjects[first:]):
        yield subject, start.key if start is not None and at == 0 else None


class _Report:
    """Shows the progress of a backfill, and remembers how far it has come."""

    def __init__(self, progress: Callable[[str], None], start: Start | None) -> None:
        self.progress = progress
        self.last = start
        self.label = ""
        self.total = 0

    def begin(self, label: str, total: int) -> None:
        """Begin with a subject of so many rows."""
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


def compare(subjects: Sequence[Subject], using: str, *, repair: bool) -> Iterator[Difference]:
    """Yield all that differs from its truth, mended if that is asked for."""
    for subject in subjects:
        yield from subject.verify(using, repair=repair)
