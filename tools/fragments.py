"""A change that a user sees has a fragment of the changelog: a file in changes.d, as CONTRIBUTING.md describes it."""

import os
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path

from tools.environments import ROOT

PACKAGE = "src/heliograph/"
CHANGELOG = ("changes.d/", "CHANGELOG.md")
# Where a change begins: what CI says, or what a clone knows of the main branch.
BASE = "HELIOGRAPH_BASE"
BRANCHES = ("origin/main", "main")
# The line of a commit message that says: nobody who uses Heliograph sees this change.
TRAILER = "Changelog: none"

MISSING = f"""\
This change touches {{files}}, and has no fragment of the changelog.
If a user sees it, describe it in a file such as changes.d/+what-is-new.added.md: CONTRIBUTING.md says how.
If no user sees it, write the line "{TRAILER}" at the end of a commit message."""


def git(folder: Path, *arguments: str) -> str:
    """Return the output of git; nothing, where there is no such commit, or no repository, as in an unpacked sdist."""
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def base(folder: Path) -> str:
    """The commit at which the change left the main branch; empty, if it is unknown."""
    names = [os.environ[BASE]] if os.environ.get(BASE) else BRANCHES
    return next((found for name in names if (found := git(folder, "merge-base", name, "HEAD"))), "")


def complaint(files: Collection[str], messages: str) -> str:
    """Say what is missing from a change of these files, with these commit messages; empty, if nothing is."""
    of_package = [name for name in files if name.startswith(PACKAGE)]
    is_described = any(name.startswith(CHANGELOG) for name in files) or TRAILER in messages.splitlines()
    if is_described or not of_package:
        return ""
    more = f" and {len(of_package) - 1} more files" if len(of_package) > 1 else ""
    return MISSING.format(files=of_package[0] + more)


def complaint_of(folder: Path) -> str:
    """Say what is missing from the commits of a checkout that are not on the main branch."""
    start = base(folder)
    if not start:
        return ""
    files = git(folder, "diff", "--name-only", start, "HEAD").splitlines()
    return complaint(files, git(folder, "log", "--format=%B", f"{start}..HEAD"))


def rendered() -> subprocess.CompletedProcess[str]:
    """Let towncrier read the fragments and write a section of the changelog, into nothing."""
    towncrier = Path(sys.executable).with_name("towncrier")
    command = [str(towncrier), "build", "--draft", "--version", "next"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def main() -> None:
    """Fail if a fragment is missing, or cannot be read."""
    draft = rendered()
    if draft.returncode:
        sys.exit(draft.stdout + draft.stderr)
    sys.exit(complaint_of(ROOT) or None)


if __name__ == "__main__":
    main()
