"""How far the replay has come: a bar on a terminal, a line for every tenth elsewhere."""

from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from django.core.management.base import OutputWrapper

Item = TypeVar("Item")

WIDTH = 40


def track(items: Iterable[Item], total: int, out: OutputWrapper) -> Iterator[Item]:
    """Yield the items, and show the share of them that was taken."""
    show = _bar if out.isatty() else _line
    for done, item in enumerate(items, start=1):
        show(done, total, out)
        yield item


def _bar(done: int, total: int, out: Any) -> None:
    # A terminal that is written to seven thousand times takes longer than the replay.
    if _step(done, total, 200):
        filled = WIDTH * done // total
        out.write(f"\r  {'█' * filled}{'░' * (WIDTH - filled)} {_text(done, total)}", ending="")
        out.flush()
    if done == total:
        out.write("")


def _line(done: int, total: int, out: Any) -> None:
    if _step(done, total, 10):
        out.write(f"  {_text(done, total)}")


def _step(done: int, total: int, steps: int) -> bool:
    return done * steps // total > (done - 1) * steps // total


def _text(done: int, total: int) -> str:
    return f"{100 * done // total:3}%  {done:,} of {total:,} purchases"
