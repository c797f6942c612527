"""How far the demonstration has come: a bar on a terminal, a line for every tenth elsewhere."""

from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from django.core.management.base import OutputWrapper

Item = TypeVar("Item")

WIDTH = 40


def track(items: Iterable[Item], total: int, what: str, out: OutputWrapper) -> Iterator[Item]:
    """Yield the items, and show the share of them that was taken."""
    for done, item in enumerate(items, start=1):
        show(done, total, what, out)
        yield item


def show(done: int, total: int, what: str, out: OutputWrapper) -> None:
    """Show how many of all purchases, or of what it is, are done; it is called once for each of them."""
    draw = _bar if out.isatty() else _line
    draw(done, total, what, out)


def _bar(done: int, total: int, what: str, out: Any) -> None:
    # A terminal that is written to seven thousand times takes longer than the replay.
    if _step(done, total, 200):
        filled = WIDTH * done // total
        out.write(f"\r  {'█' * filled}{'░' * (WIDTH - filled)} {_text(done, total, what)}", ending="")
        out.flush()
    if done == total:
        out.write("")


def _line(done: int, total: int, what: str, out: Any) -> None:
    if _step(done, total, 10):
        out.write(f"  {_text(done, total, what)}")
        out.flush()


def _step(done: int, total: int, steps: int) -> bool:
    return done * steps // total > (done - 1) * steps // total


def _text(done: int, total: int, what: str) -> str:
    return f"{100 * done // total:3}%  {done:,} of {total:,} {what}"
