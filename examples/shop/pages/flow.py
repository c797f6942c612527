"""The flow of an action, as the page beside the action shows it."""

from collections.abc import Iterator
from functools import partial
from typing import Any

from heliograph import Durable, OnCommit, trace
from heliograph.dispatch import Called, PutOff, Sent, Skipped
from heliograph.flow.tree import Node
from heliograph.signals import connection_created

from demo.flow import name_of

Branch = dict[str, Any]  # kind, text, aside, and the branches that it has caused; a session stores it as JSON

MOST = 150  # branches of a flow that a session keeps
LIBRARY = "heliograph."


def branches(flow: trace) -> list[Branch]:
    """Return the saves, signals and receivers of a trace, each with what it has caused, without idle signals.

    A connection to the database, which a new thread of the server opens, is not the visitor's doing, and left out.
    """
    left = iter(range(MOST))
    shown = [branch for root in flow.tree.roots if not _opens(root) for branch in _shown(root, left)]
    cut = {"kind": "inside", "text": "...", "aside": f"only the first {MOST} are shown", "below": []}
    return shown if next(left, None) is not None else [*shown, cut]


def _opens(node: Node) -> bool:
    return isinstance(node.event, Sent) and node.event.signal is connection_created


def _shown(node: Node, left: Iterator[int]) -> Iterator[Branch]:
    match node.event, node.children:
        case PutOff(policy=policy), [Node(event=Called()) as called]:
            # It was put off, and called before the action had ended: one branch says both.
            for branch in _shown(called, left):
                yield branch | {"when": _policy(policy)}
        case Sent(), []:
            return
        case Skipped(receiver=receiver), _ if _is_inside(receiver):
            return
        case _ if next(left, None) is not None:
            below = [branch for child in node.children for branch in _shown(child, left)]
            if below or not isinstance(node.event, Sent):
                yield _branch(node) | {"below": below}


def _branch(node: Node) -> Branch:
    match node.event:
        case Sent(signal=signal, sender=sender):
            return {"kind": "signal", "text": signal.name.rpartition(".")[2], "aside": f"from {_name(sender)}"}
        case PutOff(receiver=receiver, policy=policy):
            return _receiver(receiver) | {"when": _policy(policy), "aside": ""}
        case Skipped(receiver=receiver, reason=reason):
            return {"kind": "skipped", "text": _short(name_of(receiver)), "aside": f"not called: {reason}"}
        case Called(receiver=receiver):
            return _receiver(receiver) | {"aside": _cost(node)}
        case event:  # a save, or a call that is going on
            return {"kind": "save", "text": f"save {_name(getattr(event, 'model', None))}", "aside": _cost(node)}


def _receiver(receiver: Any) -> Branch:
    """Return the branch of a receiver or a declaration of an application, or of a receiver inside of a recipe."""
    name = name_of(receiver)
    inside = _is_inside(receiver) and "(" not in name
    return {"kind": "inside" if inside else "receiver", "text": _short(name)}


def _is_inside(receiver: Any) -> bool:
    """Return whether a receiver is code of Heliograph, and not of an application."""
    function = receiver.func if isinstance(receiver, partial) else receiver
    return getattr(function, "__module__", "").startswith(LIBRARY)


def _short(name: str) -> str:
    """Return a declaration such as `mail(...)` or a function of Heliograph without its module; others with theirs."""
    called, bracket, rest = name.partition("(")
    return f"{called.rpartition('.')[2]}{bracket}{rest}" if bracket or name.startswith(LIBRARY) else name


def _policy(policy: Any) -> str:
    """Return when a receiver is called that was put off."""
    match policy:
        case Durable():
            return "in a worker"
        case OnCommit():
            return "after the commit"
    return "before the commit"


def _name(sender: Any) -> str:
    return getattr(sender, "__name__", str(sender))


def _cost(node: Node) -> str:
    """Return the time of a node, and the queries that it has made itself."""
    time = "" if node.seconds is None else f"{node.seconds * 1000:.1f} ms"
    count = len(node.queries)
    return f"{time}, {count} {'query' if count == 1 else 'queries'}" if count else time
