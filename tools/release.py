"""Says what keeps this commit from being released; RELEASING.md has the steps."""

import re
import sys
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from packaging.version import Version

from heliograph import __version__
from tools.environments import ROOT
from tools.fragments import git

HEADING = re.compile(r"^## (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Candidate:
    """A commit that may be released."""

    version: str
    changelog: str
    fragments: Collection[str]
    modified: Collection[str]
    tags: Collection[str]

    def problems(self) -> list[str]:
        """The steps that have to be done first, one line for each."""
        return [*self._of_version(), *self._of_changelog(), *self._of_commit()]

    def _of_version(self) -> list[str]:
        is_final = not Version(self.version).is_prerelease
        return [] if is_final else [f"__version__ is {self.version!r}: set it in src/heliograph/__init__.py."]

    def _of_changelog(self) -> list[str]:
        headings = HEADING.findall(self.changelog)
        return [
            *(f"changes.d/{name} is not in the changelog: run towncrier." for name in sorted(self.fragments)),
            *([] if self._is_dated(headings) else [f"CHANGELOG.md does not begin with {self.version} and a date."]),
            *(f"CHANGELOG.md has a section {one!r}." for one in headings if "Unreleased" in one),
        ]

    def _is_dated(self, headings: Collection[str]) -> bool:
        return bool(re.fullmatch(rf"{re.escape(self.version)} - \d{{4}}-\d\d-\d\d", next(iter(headings), "")))

    def _of_commit(self) -> list[str]:
        tag = f"v{self.version}"
        return [
            *(f"{name} is not committed." for name in self.modified),
            *([f"The tag {tag} is there already."] if tag in self.tags else []),
        ]


def candidate(folder: Path) -> Candidate:
    """The commit of a checkout, with its version, changelog and tags."""
    return Candidate(
        __version__,
        (folder / "CHANGELOG.md").read_text(encoding="utf-8"),
        {path.name for path in (folder / "changes.d").glob("*.md")} - {"README.md"},
        [line.split(maxsplit=1)[1] for line in git(folder, "status", "--porcelain").splitlines()],
        git(folder, "tag").splitlines(),
    )


def main() -> None:
    """Print what is to be done, or that nothing is."""
    problems = candidate(ROOT).problems()
    print("\n".join(problems) or f"Heliograph {__version__} can be released.")
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
