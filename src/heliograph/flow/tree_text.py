"""The tree of what happened as text: a line for each save, send and receiver."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from heliograph.dispatch.describe import full_name
from heliograph.dispatch.observed_events import Called, Calling, PutOff, Sent, Skipped
from heliograph.flow.observed_database import Saving
from heliograph.flow.tree import Node, Tree
from heliograph.outbox.events import Delivering

_SILENT = ("pre_init", "post_init", "connection_created")


def lines_of(tree: Tree, *, sql: bool = False) -> Iterator[str]:
    """Yield the lines of a tree; with `sql`, also the statements below the line of whoever has executed them."""
    for node in tree.roots:
        yield from _branch(node, 0, sql)


def _branch(node: Node, depth: int, sql: bool) -> Iterator[str]:
    if node.is_silent and name_of(node.event.signal).rpartition(".")[2] in _SILENT:  # type: ignore[union-attr]
        return
    indent = "  " * depth
    yield f"{indent}{line_of(node)}"
    if isinstance(node.event, Delivering):
        yield f"{indent}    {_cause(node)}"
    shown = [query.sql for query in node.queries] if sql else [f"{count} x {text}" for text, count in node.repeated]
    yield from (f"{indent}    {text}" for text in shown)
    for child in node.children:
        yield from _branch(child, depth + 1, sql)


def line_of(node: Node) -> str:
    """Return the line of a node, without what it has caused."""
    match node.event:
        case Saving(model=model):
            return f"save {sender_name(model)}{_cost(node)}"
        case Sent(signal=signal, sender=sender):
            return f"{name_of(signal)} from {sender_name(sender)}"
        case Calling(receiver=receiver):
            return f"{full_name(receiver)} is running"
        case PutOff(receiver=receiver, policy=policy):
            traced = f", in {node.traceparent}" if node.traceparent else ""
            return f"{full_name(receiver)} is put off: {policy!r}{traced}"
        case Delivering(claim=claim):
            return f"delivery {claim.id} of the queue {claim.queue}, attempt {claim.attempt}{_cost(node)}"
        case Skipped(receiver=receiver, reason=reason):
            return f"{full_name(receiver)} is not called: {reason}"
        case Called(receiver=receiver, outcome=outcome):
            raised = f", raised {outcome!r}" if isinstance(outcome, BaseException) else ""
            return f"{full_name(receiver)}{_cost(node)}{raised}"
    raise AssertionError(node)


def _cause(node: Node) -> str:
    """Return what has caused a delivery: the send, and the context in which it was made."""
    signal, sender, *of_context = cause_of(node.event).items()
    known = "".join(f", {name} {text}" for name, text in of_context if text)
    return f"caused by {signal[1]} from {sender[1]}{known}"


def cause_of(delivering: Any) -> dict[str, str]:
    """Return what is known of the send of a delivery, by name; "" for what was not known there."""
    claim, context = delivering.claim, delivering.context
    of_context = {name: getattr(context, name) for name in ("correlation_id", "request_id", "command")}
    return {"signal": claim.signal, "sender": claim.sender, "traceparent": context.parent, **of_context}


def _cost(node: Node) -> str:
    """Return the time of a node, and how many queries it has made itself."""
    seconds = "" if node.seconds is None else f" {node.seconds * 1000:.2f} ms"
    count = len(node.queries)
    return seconds if not count else f"{seconds}, {count} {'query' if count == 1 else 'queries'}"


def name_of(signal: Any) -> str:
    """Return the name of a signal; a signal that another dispatcher runs has none."""
    return str(getattr(signal, "name", signal))


def sender_name(sender: Any) -> str:
    """Return the label of a model; the name of another class, or the text of a value."""
    meta = getattr(sender, "_meta", None)
    if isinstance(sender, type) and meta is not None:
        return str(meta.label)
    return str(getattr(sender, "__qualname__", repr(sender)))
