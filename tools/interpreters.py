"""The Python interpreters of this machine."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

REPORT_VERSION = "import sys; print('%d.%d' % sys.version_info[:2])"


def find(version: str) -> Path | None:
    """The first interpreter of a version such as "3.12" that really runs."""
    return next((path for path in candidates(version) if runs(path, version)), None)


def candidates(version: str) -> Iterator[Path]:
    """Every place where an interpreter of this version may be: PATH first, then pyenv."""
    yield from on_path(version)
    yield from in_pyenv(version)


def on_path(version: str) -> Iterator[Path]:
    """Every hit on PATH, because pyenv's shim may stand in front of a real interpreter."""
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        path = Path(folder, f"python{version}")
        if folder and os.access(path, os.X_OK):
            yield path


def in_pyenv(version: str) -> Iterator[Path]:
    """Pyenv's interpreters of this version, newest first, without free-threaded builds, whose names end in "t"."""
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    patches = (re.fullmatch(rf"{re.escape(version)}\.(\d+)", path.name) for path in root.glob(f"versions/{version}.*"))
    for patch in sorted((int(match[1]) for match in patches if match), reverse=True):
        yield root / "versions" / f"{version}.{patch}" / "bin" / "python"


def runs(path: Path, version: str) -> bool:
    """Whether the interpreter starts: a pyenv shim exists for each version that any folder asks for, and then fails."""
    try:
        answer = subprocess.run([path, "-c", REPORT_VERSION], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return answer.returncode == 0 and answer.stdout.strip() == version
