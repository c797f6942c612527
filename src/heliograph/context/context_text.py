"""The text of a context, for a delivery or a message: JSON without what is empty, and without secrets."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import repeat
from typing import Any

from heliograph.context.actors import Actor
from heliograph.context.kept_context import EMPTY, Context
from heliograph.context.trace_ids import own_span, trace_in
from heliograph.sensitive_names import sensitive_among

_TEXTS = ("reason", "request_id", "correlation_id", "command", "traceparent")
_as_json = json.JSONEncoder(separators=(",", ":")).encode


class UnreadableContextError(ValueError):
    """A text that is no context."""


# --- writing ----------------------------------------------------------------------------------------------------


def text_of_context(context: Context) -> str:
    """Return the text of a context, "" for an empty one."""
    return "" if context is EMPTY else _text(_facts(context))


def text_of_batch(context: Context, of_events: Sequence[Context]) -> str:
    """Return the text of the context of a batch, with the contexts of events that have another one."""
    distinct = {id(one): one for one in of_events}
    if all(one == context for one in distinct.values()):
        return text_of_context(context)
    at = {number: index for index, number in enumerate(distinct)}
    events = {"contexts": [*map(_facts, distinct.values())], "of": [at[id(one)] for one in of_events]}
    return _text({**_facts(context), "events": events})


def _text(facts: Mapping[str, Any]) -> str:
    return _as_json(facts) if facts else ""


def _facts(context: Context) -> dict[str, Any]:
    """Return what is not empty, by its name."""
    actor, found = context.actor, {name: getattr(context, name) for name in _TEXTS}
    found["actor"] = None if actor is None else [actor.model, actor.key, actor.label]
    found |= {"links": [*context.links], "values": _without_secrets(context.values)}
    return {name: value for name, value in found.items() if value}


def _without_secrets(values: Any) -> Any:
    if isinstance(values, list):
        return [_without_secrets(one) for one in values]
    if not isinstance(values, Mapping):
        return values
    secret = sensitive_among(values.keys()) if values else ()
    return {name: _without_secrets(value) for name, value in values.items() if name not in secret}


# --- reading ----------------------------------------------------------------------------------------------------


def context_in(text: str) -> Context:
    """Return the context that was written, the empty one for ""; raises UnreadableContextError."""
    return _context_of(_parsed(text)) if text else EMPTY


def contexts_of_events(text: str) -> Iterable[Context]:
    """Return the context of each event of a batch, in their order; raises UnreadableContextError."""
    stored = _parsed(text).get("events") if text else None
    if stored is None:
        return repeat(context_in(text))
    return [*_of_events(stored)]


def resumed(text: str) -> Context:
    """Return the context for a call that was caused under a written one: a new span, whose parent is the written span.

    If the written context has no trace, the call has a new trace. Raises UnreadableContextError.
    """
    return continued(context_in(text))


def continued(cause: Context) -> Context:
    """Return the context of a call that this one has caused."""
    return Context(
        by=cause.by,
        **{name: getattr(cause, name) for name in _TEXTS if name != "traceparent"},
        traceparent=own_span(cause.traceparent),
        parent=cause.traceparent,
        links=cause.links,
        values=cause.values,
    )


def _parsed(text: str) -> dict[str, Any]:
    try:
        stored = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UnreadableContextError(f"{text[:200]!r} is no context: {error}") from None
    return _verified(stored, dict)  # type: ignore[no-any-return]


def _of_events(stored: Any) -> Iterator[Context]:
    facts, numbers = (_verified(_verified(stored, dict).get(name), list) for name in ("contexts", "of"))
    contexts = [_context_of(_verified(one, dict)) for one in facts]
    for at in numbers:
        if type(at) is not int or not 0 <= at < len(contexts):
            raise UnreadableContextError(f"{at!r} is the number of no context of a batch.")
        yield contexts[at]


def _context_of(stored: Mapping[str, Any]) -> Context:
    """Return a context from its facts; those that a later release may have added are left out."""
    texts = {name: _verified(stored[name], str) for name in _TEXTS if name in stored}
    links = tuple(trace_in(one) for one in _verified(stored.get("links", []), list))
    values = _verified(stored.get("values", {}), dict)
    texts["traceparent"] = trace_in(texts.get("traceparent", ""))
    return Context(_actor_of(stored.get("actor")), **texts, links=links, values=values)


def _actor_of(stored: Any) -> Actor | None:
    if stored is None:
        return None
    parts = [_verified(one, str) for one in _verified(stored, list)]
    if len(parts) != 3:
        raise UnreadableContextError(f"{stored!r} is no actor: it has a model, a key and a label.")
    return Actor(*parts)


def _verified(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise UnreadableContextError(f"{value!r} in a context is no {kind.__name__}.")
    return value
