"""The rows of a report about the signals and statements of a write, in their stages, and about its commit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

from heliograph.dispatch.observed_events import Called, Calling, PutOff, Sent, Skipped
from heliograph.flow.analyzing.analysis_facts import AnalysisFacts, SavedRow
from heliograph.flow.analyzing.report_rows import Row, staged
from heliograph.flow.connected_receivers import where
from heliograph.flow.observed_database import Queried, Saving
from heliograph.flow.source_lines import short_name
from heliograph.flow.statements_in_short import in_short, is_write
from heliograph.flow.tree import Node
from heliograph.flow.tree_text import name_of, sender_name
from heliograph.outbox.send.policy import Durable
from heliograph.transactions.pending import Stage


def stages_of(analysis: AnalysisFacts) -> Iterator[Row]:
    """Yield the rows of what ran, in its order, with the commit where it would be."""
    steps, is_committed = _steps(analysis), False
    for at, step in enumerate(steps):
        if not is_committed and _is_after_commit(analysis, step):
            yield from _commit(analysis)
            is_committed = True
        yield from _step(analysis, step, is_first=at == 0 or not _is_call(steps[at - 1]))
    if not is_committed and analysis.raised is None:
        yield from _commit(analysis)
    if analysis.raised is not None:
        undone = "" if is_committed else ", and nothing is committed"
        yield Row("raised", f"{analysis.raised!r}{undone}")


def _steps(analysis: AnalysisFacts) -> list[Node | Queried]:
    """Return what the write itself has caused: its statements, sends and calls, in the order in which they began."""
    tree = analysis.tree
    save = next((node for node in tree.roots if isinstance(node.event, Saving)), None)
    if save is None or analysis.asked.operation in ("delete", "add"):
        return sorted([*filter(_is_shown, tree.roots), *tree.queries], key=_number)
    others = [node for node in tree.roots if node is not save]
    return sorted([*filter(_is_shown, [*others, *save.children]), *save.queries, *tree.queries], key=_number)


def _is_shown(node: Node) -> bool:
    """Return whether a node has a row; sends of the write itself have one also where nobody receives them."""
    match node.event:
        case Sent():
            return not node.is_silent or _signal(node.event) in _OF_WRITES
        case PutOff():
            return not node.children or any(map(_is_shown, node.children))
        case event:
            return not isinstance(event, Skipped)


_OF_WRITES = ("pre_save", "post_save", "pre_delete", "post_delete")


def _number(step: Node | Queried) -> int:
    return step.event.number if isinstance(step, Node) else step.number


def _is_after_commit(analysis: AnalysisFacts, step: Node | Queried) -> bool:
    """Return whether a step begins when the row is committed: outside of atomic(), post_save comes after it."""
    if not isinstance(step, Node) or analysis.asked.operation in ("delete", "add"):
        return False
    return isinstance(step.event, Sent) and _signal(step.event) == "post_save"


def _step(analysis: AnalysisFacts, step: Node | Queried, *, is_first: bool) -> Iterator[Row]:
    if isinstance(step, Queried):
        yield Row(in_short(step.sql), _changes_of(analysis, step), queries=1, seconds=step.seconds)
        yield from _statements(analysis, [step], 0)
    elif isinstance(step.event, Sent):
        yield from staged(_signal(step.event), _all(analysis, step.children, 0), "nobody is called")
    elif isinstance(step.event, Saving):
        yield from staged("save", _branch(analysis, step, 0))
    else:
        yield from staged("before the commit" if is_first else "", _branch(analysis, step, 0))


def _changes_of(analysis: AnalysisFacts, query: Queried) -> str:
    """Return the changes that an UPDATE of the write has written."""
    saved = analysis.saved.get(query.parent or 0)
    is_update = saved is not None and in_short(query.sql).startswith("UPDATE")
    return ", ".join(map(str, saved.changes)) if saved and is_update else ""


def _is_call(step: Node | Queried) -> bool:
    return isinstance(step, Node) and not isinstance(step.event, Sent | Saving)


def _commit(analysis: AnalysisFacts) -> Iterator[Row]:
    if not analysis.refused:
        yield Row("commit", "would succeed: the constraints were checked")
    for alias, error in analysis.refused.items():
        yield Row("commit", f"{alias!r} would refuse it: {(str(error).splitlines() or [repr(error)])[0]}")


# --- the branches below a stage ---------------------------------------------------------------------------------


def _all(analysis: AnalysisFacts, nodes: Iterable[Node], depth: int) -> Iterator[Row]:
    return chain.from_iterable(_branch(analysis, node, depth) for node in nodes)


def _branch(analysis: AnalysisFacts, node: Node, depth: int) -> Iterator[Row]:
    if node.is_silent or not _is_shown(node):
        return
    if isinstance(node.event, PutOff) and node.children:  # the line of its call says it
        yield from _all(analysis, node.children, depth)
        return
    yield _row(analysis, node, depth)
    yield from _statements(analysis, node.queries, depth + 1)
    yield from _all(analysis, node.children, depth + 1)


def _row(analysis: AnalysisFacts, node: Node, depth: int) -> Row:
    seconds, count = node.seconds, len(node.queries)
    match node.event:
        case Saving(model=model, number=number):
            text = f"save {sender_name(model)}{_changes(analysis.saved.get(number))}"
            return Row("", text, "", seconds, count, depth=depth)
        case Sent(signal=signal, sender=sender):
            return Row("", f"{_short_signal(signal)} from {sender_name(sender)}", depth=depth)
        case Called(receiver=receiver, outcome=outcome):
            raised = f"raised {outcome!r}" if isinstance(outcome, BaseException) else ""
            return Row("", short_name(receiver), where(receiver), seconds, count, raised or _written(node), depth)
        case PutOff(receiver=receiver, policy=policy):
            later = _later(analysis, receiver, policy)
            return Row("", short_name(receiver), where(receiver), remark=later, depth=depth)
        case Calling(receiver=receiver):
            return Row("", short_name(receiver), where(receiver), remark="is running", depth=depth)
    raise AssertionError(node)


def _later(analysis: AnalysisFacts, receiver: Any, policy: Any) -> str:
    """Return when a call that was put off will be made, or why it will not be made."""
    if isinstance(policy, Durable):
        return f"-> outbox, queue {policy.queue}, by a worker"
    match getattr(policy, "stage", None):
        case Stage.AFTER_COMMIT:
            return "-> after the commit"
        case Stage.AFTER_ROLLBACK:
            return "-> only after a rollback"
        case Stage.STORED:
            return "-> written at the end, if a change is left"
    others = [one for one in analysis.tree.nodes() if isinstance(one.event, PutOff) and one.event.receiver is receiver]
    is_called = any(one.children for one in others)
    return "-> in one batch with its other call" if is_called else "-> not called: the write has failed"


def _changes(saved: SavedRow | None) -> str:
    if saved is None or saved.is_created:
        return "" if saved is None else ", a new row"
    return f": {', '.join(map(str, saved.changes)) or 'nothing changed'}"


def _written(node: Node) -> str:
    """Return what a receiver has written itself, without the saves below it, and which queries it has repeated."""
    writes = Counter(in_short(query.sql) for query in node.queries if is_write(query.sql))
    written = [f"{count} x {text}" if count > 1 else text for text, count in writes.items()]
    repeated = [f"{count} alike: {in_short(sql)}" for sql, count in node.repeated if not is_write(sql)]
    return ", ".join([*written, *repeated])


def _statements(analysis: AnalysisFacts, queries: Sequence[Queried], depth: int) -> Iterator[Row]:
    if analysis.sql:
        yield from (Row(text=" ".join(query.sql.split()), depth=depth) for query in queries)


def _signal(sent: Sent) -> str:
    return _short_signal(sent.signal)


def _short_signal(signal: Any) -> str:
    return name_of(signal).rpartition(".")[2]
