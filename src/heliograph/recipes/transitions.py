"""Transitions: a field moves from one state to another only as a table allows, whatever write moves it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from difflib import get_close_matches
from functools import partial
from threading import local
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import Model

from heliograph import NO_ROW, UNKNOWN, Batch, BeforeWrite, Inline, changed, created, raw
from heliograph.building import Gate, KeptAway
from heliograph.recipes.declarations import Declaration, declare, named, written
from heliograph.recipes.fields import field_named
from heliograph.signals import post_save, pre_save


class ForbiddenTransition(ValidationError):  # noqa: N818  # as Django names what a caller handles: DoesNotExist
    """A write was refused, because it moves the row `pk` from `old` to `new`, and only `allowed` may follow `old`.

    `old` is `NO_ROW` if the row is new. The code of this ValidationError is "forbidden_transition"; a view may give it
    to `form.add_error()`.
    """

    def __init__(self, message: str, *, pk: Any, old: Any, new: Any, allowed: frozenset[Any]) -> None:
        super().__init__(message, code="forbidden_transition")
        self.pk, self.old, self.new, self.allowed = pk, old, new, allowed

    def __str__(self) -> str:
        return str(self.message)

    def __reduce__(self) -> Any:
        facts = {name: getattr(self, name) for name in ("pk", "old", "new", "allowed")}
        return partial(type(self), **facts), (self.message,)


def transitions(
    model: type[Model] | str,
    field: str,
    table: Mapping[Any, Collection[Any]],
    *,
    initial: Collection[Any] | None = None,
) -> Declaration:
    """Refuse writes that move a field from one state to another, unless the table allows it.

        table = {"new": {"paid", "cancelled"}, "paid": {"shipped"}}
        transitions(Order, "status", table)

    `save()`, `bulk_update()`, `update()` and upserts ask the table before they write, about the values in the database,
    which are locked. A value that an expression sets is asked about after the write, which is undone then. A state
    without an entry is final. `initial` has the states of new rows; without it, they may have any. A refused write
    raises `ForbiddenTransition`. Fixtures are left alone. The model may be named "app.Model". Returns a `Declaration`.

    Raises TypeError, with what to do, for an unknown field, or for states that are not among its choices; if models are
    not loaded yet, a system check reports it.
    """
    given: Any = table
    shown = dict(given) if isinstance(given, Mapping) else given
    text = written("transitions", model, field, shown, **({} if initial is None else {"initial": initial}))
    _verify_table(text, table)
    for states in [*table.values(), *([] if initial is None else [initial])]:
        _verify_states(text, states)
    allowed = {state: frozenset(states) for state, states in table.items()}
    begins = None if initial is None else frozenset(initial)

    def connect(declaration: Declaration, model: type[Model]) -> None:
        found = _field_of(text, model, field)
        _verify_choices(text, found, {*allowed, *(begins or ())}.union(*allowed.values()))
        moves = Transitions(found, allowed, begins)
        options: Any = {"sender": model, "subclasses": True, "bulk": True, "fetch": "lock"}
        options["when"] = ~raw & (changed(field) if begins is None else created | changed(field))
        label = f"transitions({found.model._meta.label}.{found.name})"
        declaration.connect(pre_save, named(label, moves.before), delivery=BeforeWrite(), **options)
        after = named(label, moves.after)
        declaration.connect(post_save, after, delivery=Inline(batch=True), facts=(moves.computed,), **options)

    return declare(text, connect, model)


class Computed(Gate):
    """The fact that a write of this thread sets a state which only the database knows: then it is asked afterwards."""

    def __init__(self) -> None:
        self.thread = local()

    def admits(self, payload: Mapping[str, Any]) -> bool:
        return getattr(self.thread, "is_open", False)

    def reason(self, payload: Mapping[str, Any]) -> KeptAway:
        return KeptAway("no state was computed by the database")


@dataclass(frozen=True)
class Transitions:
    """What refuses the moves of one field."""

    field: Any
    table: Mapping[Any, frozenset[Any]]
    initial: frozenset[Any] | None
    computed: Computed = dataclass_field(default_factory=Computed)

    def before(self, sender: Any, batch: Batch, **kwargs: Any) -> None:
        """Refuse moves whose new state is known before the write."""
        for event in batch.events:
            new = event.new(self.field.name)
            if new is UNKNOWN:
                self.computed.thread.is_open = True
            self._refuse(sender, event, new)

    def after(self, sender: Any, batch: Batch, **kwargs: Any) -> None:
        """Refuse what the database has computed."""
        self.computed.thread.is_open = False
        moves = [(event, event.new(self.field.name)) for event in batch.events]
        computed = [event for event, new in moves if new is UNKNOWN]
        states = self._read(computed) if computed else {}
        for event, new in moves:
            self._refuse(sender, event, states.get(event.pk, new))

    def _read(self, events: Iterable[Any]) -> dict[Any, Any]:
        """Query for the states of rows, which are all in the database of one write."""
        keys = {event.pk: event.kwargs["using"] for event in events}
        rows = [self.field.model._base_manager.using(using) for using in {*keys.values()}]
        return {key: state for some in rows for key, state in some.filter(pk__in=keys).values_list("pk", self._column)}

    @property
    def _column(self) -> str:
        return str(self.field.attname)

    def _refuse(self, model: type[Model], event: Any, new: Any) -> None:
        old = NO_ROW if event.kind == "created" else event.old(self.field.name)
        if old is UNKNOWN or new is UNKNOWN:
            return
        old, new = (state if state is NO_ROW else self.field.to_python(state) for state in (old, new))
        allowed = self.initial if old is NO_ROW else self.table.get(old, frozenset())
        if old != new and allowed is not None and new not in allowed:
            message = _message(f"{model._meta.label}.{self.field.name}", event.pk, old, new, allowed)
            raise ForbiddenTransition(message, pk=event.pk, old=old, new=new, allowed=allowed)


def _message(name: str, key: Any, old: Any, new: Any, allowed: frozenset[Any]) -> str:
    states = " or ".join(sorted(map(_shown, allowed)))
    if old is NO_ROW:
        return f"{name} of a new row cannot be {_shown(new)}. It may begin as {states}."
    following = f"It may become {states}." if allowed else f"{_shown(old)} is final."
    return f"{name} of {key!r} cannot go from {_shown(old)} to {_shown(new)}. {following}"


def _shown(state: Any) -> str:
    return repr(getattr(state, "value", state))  # of an enumeration


# --- mistakes -----------------------------------------------------------------------------------------------------


def _verify_table(text: str, table: Any) -> None:
    if not isinstance(table, Mapping):
        raise TypeError(f"{text}: the table is a mapping, such as {{'new': {{'paid'}}}}, not {table!r}.")


def _verify_states(text: str, states: Any) -> None:
    if isinstance(states, str) or not isinstance(states, Collection):
        raise TypeError(f"{text}: {states!r} is not a set of states. Write {{{states!r}}}.")


def _field_of(text: str, model: type[Model], name: str) -> Any:
    field = field_named(text, model, name)
    if field.model is not model:
        label = field.model._meta.label
        raise TypeError(f"{text}: {name!r} is a column of {label}, which others may write. Declare it for {label!r}.")
    return field


def _verify_choices(text: str, field: Any, states: Iterable[Any]) -> None:
    """Raise TypeError for a state that is not among the choices of the field, if it has any."""
    choices = {value for value, _ in field.flatchoices}
    for state in sorted({*states} - choices, key=repr) if choices else ():
        close = get_close_matches(str(state), {str(one): one for one in choices}, n=1)
        hint = f"Did you mean {close[0]!r}?" if close else f"It has {', '.join(sorted(map(_shown, choices)))}."
        raise TypeError(f"{text}: {_shown(state)} is not among the choices of {field.name!r}. {hint}")
