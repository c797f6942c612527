"""The share of lines and branches that the tests must run."""

import re
import sys
from collections.abc import Iterable, Iterator

import coverage
import django

from tools.environments import ROOT
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
    measured = coverage.Coverage(config_file=str(ROOT / "pyproject.toml"))
    measured.combine()
    exclude_other_versions(measured)
    passed = [
        gate(measured, "Coverage", float(measured.get_option("report:fail_under") or 0)),  # type: ignore[arg-type]
        gate(measured, "Coverage of the dispatcher", 100, DISPATCHER),
    ]
    if not all(passed):
        sys.exit("The tests do not run enough of the code.")


if __name__ == "__main__":
    main()
