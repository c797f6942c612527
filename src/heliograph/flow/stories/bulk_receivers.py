"""The receivers of writes of many rows: by the signals of bulk writes, and row by row with `bulk=True`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.db.models.signals import post_save, pre_save

from heliograph.bulk import signals
from heliograph.flow.stories.expected_receivers import Expected, expected
from heliograph.flow.stories.foreseen import Known
from heliograph.transactions.pending import Stage


def of_update(model: Any, using: str) -> list[Expected]:
    """Return the receivers of an `update()`, in the order in which it asks them."""
    rows = _known(model, using, created=False)
    before = [one for one in _with_bulk(pre_save, rows) if one.stage is Stage.BEFORE_WRITE]
    each = _with_bulk(post_save, rows)
    return [*asked_by(signals.pre_update, model, using), *before, *asked_by(signals.post_update, model, using), *each]


def of_insert(model: Any, using: str) -> tuple[list[Expected], list[Expected]]:
    """Return the receivers of a `bulk_create()`, before its statement and after it."""
    rows = _known(model, using, created=True)
    before = sorted(_with_bulk(pre_save, rows), key=lambda one: one.stage is Stage.BEFORE_WRITE)
    after = [*asked_by(signals.post_bulk_create, model, using), *_with_bulk(post_save, rows)]
    return [*asked_by(signals.pre_bulk_create, model, using), *before], after


def asked_by(signal: Any, sender: Any, using: str, /, **payload: Any) -> list[Expected]:
    """Return the receivers of a signal that is sent once for a write, whose conditions may ask for its payload."""
    return expected(signal, [Known({"signal": signal, "sender": sender, "using": using, **payload})])


def line_of_bulk_writes(model: Any, using: str) -> str:
    """Return a line about whom bulk writes of a model call."""
    found: dict[str, str] = {}
    for one in _all(model, using):
        found.setdefault(one.name, one.name if "bulk" in one.options else f"{one.name} ({one.signal_name})")
    if not found:
        return "bulk_create(), bulk_update() and update() of a query call no receiver: none has bulk=True."
    return f"bulk_create(), bulk_update() and update() of a query call {', '.join(found.values())}."


def _all(model: Any, using: str) -> Iterator[Expected]:
    rows = [*_known(model, using, created=True), *_known(model, using, created=False)]
    for signal in (pre_save, post_save):
        yield from _with_bulk(signal, rows)
    for name in ("create", "bulk_update", "update"):
        kind = f"bulk_{name}" if name == "create" else name
        for when in ("pre", "post"):
            yield from asked_by(getattr(signals, f"{when}_{kind}"), model, using)


def _with_bulk(signal: Any, known: Sequence[Known]) -> list[Expected]:
    of_signal = [Known({**one.payload, "signal": signal}) for one in known]
    return [one for one in expected(signal, of_signal) if "bulk" in one.options]


def _known(model: Any, using: str, *, created: bool) -> list[Known]:
    return [Known({"signal": post_save, "sender": model, "using": using, "raw": False, "created": created})]
