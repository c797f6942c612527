"""The results of a run as text, and as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from benchmarks.load.variants import Result
from benchmarks.report import aligned, piped

COLUMNS = (
    *("", "orders/s", "beside Inline", "p50 ms", "p95 ms", "server CPU ms", "worker CPU ms"),
    *("orders", "failed", "mails", "in the outbox", "wrong"),
)


def text(results: Sequence[Result], about: Mapping[str, str]) -> Iterator[str]:
    """Yield the lines for a terminal: what was measured on, the table, and what the check found."""
    yield from (f"{name:<12}{value}" for name, value in about.items())
    yield from ("", *aligned(rows(results)), "")
    for result in results:
        for one in result.checked:
            yield f"{result.variant.name:<10}{one.text:<78}{one.rows:>7,} rows{one.differences:>7,} differences"
    yield f"\n{sum(result.differences for result in results)} differences"


def markdown(results: Sequence[Result], about: Mapping[str, str]) -> Iterator[str]:
    """Yield the lines for a page of the documentation."""
    yield from piped(rows(results))
    yield ""
    yield from piped([["", ""], *([name, value] for name, value in about.items())])


def rows(results: Sequence[Result]) -> list[list[str]]:
    """Return the rows of the table: the head, and one for each variant."""
    return [[*COLUMNS], *(_row(result, results[0]) for result in results)]


def _row(result: Result, first: Result) -> list[str]:
    requests = result.requests
    return [
        result.variant.name,
        f"{requests.rate:.1f}",
        f"{requests.rate / first.requests.rate:.2f}" if first.requests.rate else "",
        f"{requests.p50:.0f}",
        f"{requests.p95:.0f}",
        f"{requests.server:.1f}",
        f"{requests.worker:.1f}",
        *(str(number) for number in (requests.orders, requests.failed, result.arrived, result.waiting)),
        str(result.differences),
    ]
