"""The list of the methods of Django that are patched now, each with its steps in the order in which they run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db.models import Field

from heliograph.dispatch.describe import full_name
from heliograph.orm.steps import patched_methods


def lines() -> Iterator[str]:
    """Yield a line for each patched method."""
    rows = sorted((f"{_owner(one.owner)}.{one.name}", ", ".join(one.steps)) for one in patched_methods())
    if not rows:
        yield "No method of Django is patched, since no receiver needs it."
    width = max((len(name) for name, _ in rows), default=0)
    for name, steps in rows:
        yield f"{name.ljust(width)}  {steps}"


def _owner(owner: Any) -> str:
    return str(owner) if isinstance(owner, Field) else full_name(owner)  # a field such as shop.Order.total
