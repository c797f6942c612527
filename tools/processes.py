"""Processes whose output is watched and kept."""

import io
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tools.environments import ROOT


@dataclass(frozen=True)
class Finished:
    """How a process ended."""

    code: int
    output: str
    seconds: float


def run(command: Sequence[str], variables: Mapping[str, str], folder: Path = ROOT, *, show: bool = False) -> Finished:
    """Run a command to its end with these environment variables added, and show its output meanwhile if asked.

    The temporary folders of its tests are its own, since pytest removes old ones of others, also while they do so.
    """
    started = time.monotonic()
    with TemporaryDirectory(prefix="pytest-", ignore_cleanup_errors=True) as temporary:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, "PYTEST_DEBUG_TEMPROOT": temporary, **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        output = _read(process, show)
        return Finished(process.wait(), output, time.monotonic() - started)


def _read(process: subprocess.Popen[bytes], show: bool) -> str:
    """Read as the output comes and not by lines, because the dots of a test run are one line."""
    assert isinstance(process.stdout, io.BufferedReader)
    chunks = []
    while chunk := process.stdout.read1():
        chunks.append(chunk)
        if show:
            sys.stdout.buffer.write(chunk)
            sys.stdout.buffer.flush()
    return b"".join(chunks).decode(errors="replace")
