"""The machine and the software with which the figures were measured."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.peers import versions
from benchmarks.project import servers


def description() -> dict[str, str]:
    """Return what is to be known about a run."""
    return {
        **computer(),
        **versions(),
        **servers(),
        "Date": datetime.now(UTC).date().isoformat(),
    }


def computer() -> dict[str, str]:
    """Return the machine and the Python."""
    return {
        "Machine": f"{_processor()}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}",
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
    }


def _processor() -> str:
    listing = Path("/proc/cpuinfo")
    lines = listing.read_text().splitlines() if listing.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown processor"
