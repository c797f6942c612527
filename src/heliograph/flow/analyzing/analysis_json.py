"""An analysis as JSON: the tree of a trace, and the facts of the analysis beside it."""

from __future__ import annotations

from typing import Any

from heliograph.dispatch.describe import full_name
from heliograph.flow.analyzing.analysis_facts import AnalysisFacts, HeldFunction, SavedRow
from heliograph.flow.effects.seen_effects import Effect
from heliograph.flow.tree_json import json_of


def facts_of(analysis: AnalysisFacts) -> dict[str, Any]:
    """Return an analysis as values of JSON."""
    asked = analysis.asked
    return {
        **json_of(analysis.tree),
        "model": asked.model._meta.label,
        "operation": asked.operation,
        "using": asked.using,
        "pk": None if analysis.pk is None else str(analysis.pk),
        "seconds": analysis.seconds,
        "saved": {number: _saved(row) for number, row in analysis.saved.items()},
        "outbox": [
            {"receiver": one.receiver, "signal": one.signal, "queue": one.queue, "key": one.key, "bytes": one.size}
            for one in analysis.deliveries
        ],
        "after_commit": [_held(one) for one in analysis.after_commit],
        "refused": {alias: type(error).__name__ for alias, error in analysis.refused.items()},
        "raised": None if analysis.raised is None else type(analysis.raised).__name__,
        "effects": [_effect(effect) for effect in analysis.effects],
    }


def _saved(row: SavedRow) -> dict[str, Any]:
    changes = {one.name: None if one.new is None else [one.old, one.new] for one in row.changes}
    return {"created": row.is_created, "changes": changes}


def _held(one: HeldFunction) -> dict[str, Any]:
    return {"function": full_name(one.function), "using": one.using, "is_receiver": one.is_receiver}


def _effect(effect: Effect) -> dict[str, Any]:
    receiver = None if effect.receiver is None else full_name(effect.receiver)
    return {"kind": effect.kind, "text": effect.text, "receiver": receiver, "held": effect.is_held}
