"""Chapters: the parts of a write in the order in which they will happen, with the receivers of each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from heliograph.flow.asked_writes import AskedWrite
from heliograph.flow.stories.expected_receivers import Expected, Verdict


@dataclass(frozen=True)
class Chapter:
    """A part of a write, with the receivers that are called in it, in order."""

    kind: str  # for programs, such as "pre_save"; `title` is for people
    title: str
    receivers: tuple[Expected, ...] = ()
    text: str = ""  # what happens beside the calls


@dataclass(frozen=True)
class Chapters:
    """The receivers that a write would call, in their order; nothing was run to find them.

    A save in autocommit and a save in `atomic()` call the same receivers in two orders: the chapters of both are there.
    """

    asked: AskedWrite
    autocommit: tuple[Chapter, ...]
    atomic: tuple[Chapter, ...]
    on_rollback: tuple[Expected, ...] = ()  # the receivers that are called if the write is rolled back
    remarks: tuple[str, ...] = ()  # what bulk writes call, and which writes send nothing

    def receivers(self, *, atomic: bool = False) -> list[Expected]:
        """Return the receivers that the write will or may call, in the order of their calls.

        The order is the one of a write in autocommit; with `atomic=True`, of a write inside of `atomic()`.
        """
        chapters = self.atomic if atomic else self.autocommit
        return [one for chapter in chapters for one in chapter.receivers if one.verdict is not Verdict.NOT_CALLED]

    @property
    def not_called(self) -> list[Expected]:
        """The receivers that the write asks and will not call, each with the reason."""
        found = [one for chapter in self.autocommit for one in chapter.receivers]
        return [one for one in (*found, *self.on_rollback) if one.verdict is Verdict.NOT_CALLED]


def chapters(*found: Iterable[Chapter]) -> tuple[Chapter, ...]:
    """Return chapters of several sources as one sequence."""
    return tuple(chapter for group in found for chapter in group)
