"""The verb `patches`."""

from __future__ import annotations

from typing import Any

from heliograph.flow import patched_methods


def add_arguments(parser: Any) -> None:
    """Add no arguments: the verb has none."""


def run(command: Any, options: dict[str, Any]) -> None:
    """Print the patched methods."""
    command.stdout.write("\n".join(patched_methods.lines()))
