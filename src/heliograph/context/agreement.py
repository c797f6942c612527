"""The context of a batch: the values on which the contexts of its sends agree, and all their causes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from heliograph.context.kept_context import EMPTY, Context

_AGREED = ("reason", "request_id", "correlation_id", "command")


def agreed(contexts: Iterable[Context]) -> Context:
    """Return the context of a call for several sends: its parent is the trace of the first, the others are links."""
    first, *others = {id(one): one for one in contexts}.values()
    return _agreed(first, others) if others else first


def _agreed(first: Context, others: Sequence[Context]) -> Context:
    if all(one == first for one in others):
        return first
    causes = {one.traceparent: one for one in (first, *others) if one.traceparent}
    cause = next(iter(causes.values()), EMPTY)
    texts = {name: getattr(first, name) for name in _AGREED if _agree(name, first, others)}
    values = {
        name: value for name, value in first.values.items() if all(one.values.get(name) == value for one in others)
    }
    links = (*dict.fromkeys((*[*causes][1:], *(link for one in (first, *others) for link in one.links))),)
    by = first.by if _agree("by", first, others) else None
    return Context(by, **texts, traceparent=cause.traceparent, parent=cause.parent, links=links, values=values)


def _agree(name: str, first: Context, others: Sequence[Context]) -> bool:
    value = getattr(first, name)
    return all(getattr(one, name) == value for one in others)
