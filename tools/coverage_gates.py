"""The share of lines that the tests must run, and of branches of the dispatcher."""

import re
import sys
from collections.abc import Iterable, Iterator

import coverage
import django

from tools.coverage_data import BRANCHES, LINES, all_lines, combined
from tools.versions import PYTHONS, SUPPORTED

DISPATCHER = "*/heliograph/dispatch/*"


def numbers(version: str) -> tuple[int, ...]:
    """A version as numbers, since "3.9" sorts after "3.12" as text."""
    return tuple(int(part) for part in version.split("."))


def markers_that_fail(subject: str, running: tuple[int, ...], known: Iterable[str]) -> Iterator[str]:
    """The markers of lines that this version never runs, such as "python>=3.12" on 3.11."""
    for version in known:
        yield f"{subject}<{version}" if running >= numbers(version) else f"{subject}>={version}"


def exclude_other_versions(measured: coverage.Coverage) -> None:
    """Leave the lines of other Pythons and Djangos out of the account.

    They are marked, `if sys.version_info >= (3, 12):  # pragma: python>=3.12` or `# pragma: django<6.0`, because no
    single run can reach both sides.
    """
    for marker in (
        *markers_that_fail("python", sys.version_info[:2], PYTHONS),
        *markers_that_fail("django", django.VERSION[:2], SUPPORTED),
    ):
        measured.exclude(rf"# pragma: {re.escape(marker)}(\s|$)")


def gate(measured: coverage.Coverage, name: str, least: float, include: str | None = None) -> bool:
    """Report one part, and say whether enough of it ran."""
    print(f"\n{name}: at least {least:g} %")
    return measured.report(include=include) >= least


def main() -> None:
    """Combine the data of all runs and hold it against both gates."""
    branches, lines = combined(BRANCHES), combined(LINES)
    measured = all_lines([branches, lines])
    for one in (branches, measured):
        exclude_other_versions(one)
    least = float(measured.get_option("report:fail_under") or 0)  # type: ignore[arg-type]
    passed = [
        gate(measured, "Coverage of lines", least),
        gate(branches, "Coverage of the dispatcher, with branches", 100, DISPATCHER),
    ]
    if not all(passed):
        sys.exit("The tests do not run enough of the code.")


if __name__ == "__main__":
    main()
