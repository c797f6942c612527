"""The text of an analysis: what ran, what would come later, what did not run and why, and what is not undone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from heliograph.dispatch.observed_events import Skipped
from heliograph.flow.analyzing.analysis_facts import AnalysisFacts, HeldFunction, StoredDelivery
from heliograph.flow.analyzing.analysis_stages import stages_of
from heliograph.flow.analyzing.report_rows import Row, aligned, staged
from heliograph.flow.connected_receivers import where
from heliograph.flow.effects.seen_effects import Effect
from heliograph.flow.source_lines import short_name


def text_of(analysis: AnalysisFacts) -> str:
    """Return the text of an analysis, a line for each fact."""
    rows = [*stages_of(analysis), *_sections(analysis)]
    return "\n".join([_headline(analysis), *aligned(rows)])


def _headline(analysis: AnalysisFacts) -> str:
    asked, count = analysis.asked, len(analysis.tree.all_queries)
    which = "" if asked.operation == "create" else f" of {analysis.pk!r}"
    title = f"{asked.model._meta.label} {asked.operation}{which}, rolled back"
    return f"{title}: {analysis.seconds * 1000:.1f} ms, {count} {'query' if count == 1 else 'queries'}"


def _sections(analysis: AnalysisFacts) -> Iterator[Row]:
    skipped = [node.event for node in analysis.tree.nodes() if isinstance(node.event, Skipped)]
    yield from _section("after the commit", (_held(one) for one in analysis.after_commit))
    yield from _section("in the outbox", map(_delivery, analysis.deliveries))
    yield from _section("not called", (_not_called(event) for event in skipped))
    yield from _section("held back", _effects(analysis.held))
    yield from _section("not undone", _effects(analysis.not_undone) if analysis.not_undone else [Row(text="nothing")])


def _section(stage: str, rows: Iterable[Row]) -> Iterator[Row]:
    found = [*rows]
    return staged(stage, found) if found else iter(())


def _held(one: HeldFunction) -> Row:
    remark = "" if one.is_receiver else "given to transaction.on_commit()"
    return Row("", short_name(one.function), where(one.function), remark=remark)


def _delivery(one: StoredDelivery) -> Row:
    key = f", key {one.key}" if one.key else ""
    return Row("", one.receiver.rpartition(".")[2], remark=f"queue {one.queue}{key}, {one.size} bytes")


def _not_called(event: Any) -> Row:
    return Row("", short_name(event.receiver), where(event.receiver), remark=str(event.reason))


def _effects(effects: Sequence[Effect]) -> Iterator[Row]:
    """Yield a row for each effect of each receiver, with how often it has happened."""
    alike: dict[Any, list[Effect]] = {}
    for effect in effects:
        alike.setdefault((effect.text, id(effect.receiver)), []).append(effect)
    for (text, _), found in alike.items():
        yield _effect(text if len(found) == 1 else f"{len(found)} x {text}", found[0].receiver)


def _effect(text: str, receiver: Any) -> Row:
    if receiver is None:
        return Row("", text, remark="by the write itself")
    return Row("", text, where(receiver), remark=f"by {short_name(receiver)}")
