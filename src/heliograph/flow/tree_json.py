"""The tree of what happened as JSON: names, times and outcomes, and no values that were sent."""

from __future__ import annotations

from typing import Any

from heliograph.dispatch.describe import full_name
from heliograph.dispatch.observed_events import Called, Calling, PutOff, Sent, Skipped
from heliograph.flow.observed_database import Queried, Saving
from heliograph.flow.tree import Node, Tree
from heliograph.flow.tree_text import cause_of, name_of, sender_name
from heliograph.outbox.events import Delivering

# The version of the format.
VERSION = 1


def json_of(tree: Tree) -> dict[str, Any]:
    """Return a tree as values of JSON."""
    return {
        "version": VERSION,
        "nodes": [_node(node) for node in tree.roots],
        "queries": [_query(query) for query in tree.queries],
    }


def _node(node: Node) -> dict[str, Any]:
    return {
        "number": node.event.number,
        **_facts(node.event),
        **({"traceparent": node.traceparent} if node.traceparent else {}),
        "seconds": node.seconds,
        "queries": [_query(query) for query in node.queries],
        "children": [_node(child) for child in node.children],
    }


def _facts(event: Any) -> dict[str, Any]:
    match event:
        case Saving(model=model, using=using):
            return {"kind": "save", "sender": sender_name(model), "using": using}
        case Delivering(claim=claim):
            about = {"id": claim.id, "receiver": claim.receiver, "queue": claim.queue, "attempt": claim.attempt}
            return {"kind": "delivery", **about, "cause": cause_of(event)}
        case Sent(signal=signal, sender=sender):
            return {"kind": "send", "signal": name_of(signal), "sender": sender_name(sender)}
        case Calling(receiver=receiver):
            return {"kind": "running", "receiver": full_name(receiver)}
        case PutOff(receiver=receiver, policy=policy):
            return {"kind": "put off", "receiver": full_name(receiver), "policy": repr(policy)}
        case Skipped(receiver=receiver, reason=reason):
            return {"kind": "skipped", "receiver": full_name(receiver), "reason": type(reason).__name__}
        case Called(receiver=receiver, outcome=outcome):
            raised = type(outcome).__name__ if isinstance(outcome, BaseException) else None
            return {"kind": "call", "receiver": full_name(receiver), "raised": raised}
    raise AssertionError(event)


def _query(query: Queried) -> dict[str, Any]:
    return {"sql": query.sql, "using": query.using, "seconds": query.seconds}
