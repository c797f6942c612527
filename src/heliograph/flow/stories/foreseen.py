"""The answer of a condition before a write: it will hold, it will not, or some of its parts depend on the row."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from django.db.models import DateField, DateTimeField, Field, FileField, Model, TimeField
from django.db.models.base import ModelState

from heliograph.changes.comparing import Comparison
from heliograph.changes.plans import plan_of_all
from heliograph.changes.values import UNKNOWN
from heliograph.conditions import (
    ANYTHING,
    DELETIONS,
    Action,
    Carried,
    Changed,
    Created,
    Has,
    NetPayload,
    Raw,
    UpdateFields,
    fields_of,
    has,
    shown_value,
)
from heliograph.dispatch.condition_base import Both, Condition, Either, Not

# The names of the fields that receivers may set before the row is written; None for any field.
Names = frozenset[str] | None
NOTHING: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Known:
    """The facts about a send that are known before it is made, without asking a database."""

    payload: Mapping[str, Any]  # the names that the operation alone decides, with `signal`, `sender` and `using`
    values: Mapping[str, Any] = field(default_factory=dict)  # what the fields are set to, by their attributes
    may_be_set: Names = NOTHING  # by receivers that are called before

    @property
    def model(self) -> type[Model]:
        """The model whose row is written."""
        model: type[Model] = self.payload["sender"]
        return model


class Part(NamedTuple):
    """A part of a condition, with its answer; None where the row decides, or a function of the project."""

    condition: Condition
    holds: bool | None
    evidence: str = ""

    def __str__(self) -> str:
        text = f"{self.condition!r} is {self.holds}"
        return f"{text}: {self.evidence}" if self.evidence else text


class Foreseen(NamedTuple):
    """Whether a condition will hold: a bool, or the rest of it that is open; and the parts that were looked at."""

    holds: bool | Condition
    parts: tuple[Part, ...] = ()


def foresee(when: Condition | None, known: Known) -> Foreseen:
    """Return what is known of a condition; a part that a part before it makes needless is left out."""
    match when:
        case None:
            return Foreseen(True)
        case Both(left=left, right=right):
            return _joined(foresee(left, known), right, known, decides=False)
        case Either(left=left, right=right):
            return _joined(foresee(left, known), right, known, decides=True)
        case Not(inner=inner):
            holds, parts = foresee(inner, known)
            return Foreseen(not holds if isinstance(holds, bool) else ~holds, parts)
    part = _part(when, known)
    return Foreseen(when if part.holds is None else part.holds, (part,))


def _joined(left: Foreseen, right: Condition, known: Known, *, decides: bool) -> Foreseen:
    """Join two parts; if the answer of one is `decides`, it is the answer of both."""
    if left.holds is decides:
        return left
    other = foresee(right, known)
    parts = (*left.parts, *other.parts)
    match left.holds, other.holds:
        case bool(), holds:
            return Foreseen(holds, parts)
        case holds, bool():
            return Foreseen(decides if other.holds is decides else holds, parts)
        case Condition() as one, Condition() as another:
            return Foreseen(one | another if decides else one & another, parts)
    raise AssertionError(parts)


def _part(leaf: Condition, known: Known) -> Part:
    match leaf:
        case Changed():
            return _change(leaf, known)
        case Has():
            return _having(leaf, known)
        case UpdateFields() if known.payload.get("update_fields", ...) is None:
            return Part(leaf, leaf.holds(known.payload), "save() is given no update_fields")
        case Created() | Raw() | Action() if _is_decided(leaf, known):
            return Part(leaf, leaf.holds(known.payload))
    return Part(leaf, None)


def _is_decided(leaf: Carried, known: Known) -> bool:
    """Return whether the operation decides a condition; the row of a deletion is neither new nor of a fixture."""
    return known.payload["signal"] in DELETIONS or not {*leaf.asks_for()}.isdisjoint(known.payload)


# --- changes ------------------------------------------------------------------------------------------------------


def _change(leaf: Changed, known: Known) -> Part:
    if known.payload["signal"] in DELETIONS:
        return _change_by_deletion(leaf, known)
    if "created" not in known.payload:
        return Part(leaf, None)
    if known.payload["created"]:  # as of a row in a batch that has no values before
        return Part(leaf, leaf.holds(NetPayload(known.payload)), "the row is new")
    return _change_by_update(leaf, known)


def _change_by_deletion(leaf: Changed, known: Known) -> Part:
    """Foresee a change by a deletion: every field changes, and only the row has the old value."""
    plan = plan_of_all(known.model)
    is_possible = _may_hold(leaf, known, Comparison(plan, [UNKNOWN] * len(plan.fields), plan.nothing))
    return Part(leaf, None if is_possible and leaf.was is not ANYTHING else is_possible)


def _change_by_update(leaf: Changed, known: Known) -> Part:
    """Foresee a change: a field that is set may have the value already; others change only if a receiver sets them."""
    if not known.values:
        return Part(leaf, None)
    asked = [*(fields_of(known.model, leaf.fields) if leaf.fields else known.model._meta.concrete_fields)]
    is_open = any(_may_be_set(one, known) for one in asked)
    if known.values.keys().isdisjoint(one.attname for one in asked):
        names = ", ".join(one.name for one in asked) if leaf.fields else "all fields"
        return Part(leaf, None if is_open else False, f"left alone: {names}{_unless_set(is_open)}")
    is_possible = is_open or _may_hold(leaf, known, _comparison_of_update(known))
    return Part(leaf, None if is_possible else False, _given(asked, known))


def _comparison_of_update(known: Known) -> Comparison:
    """Return the comparison of a row of which only the fields that are set differ, from values that nobody knows."""
    plan = plan_of_all(known.model)
    old = [UNKNOWN if one.attname in known.values else None for one in plan.fields]
    new = [known.values.get(one.attname) for one in plan.fields]
    return Comparison(plan, old, new, None, known.payload["using"])


def _may_hold(leaf: Changed, known: Known, compared: Comparison) -> bool:
    """Return whether a condition holds if the old value is the wanted one."""
    payload = NetPayload(known.payload)
    payload.comparison = compared
    return replace(leaf, was=ANYTHING, watch=None).holds(payload)


# --- values -------------------------------------------------------------------------------------------------------


def _having(leaf: Has, known: Known) -> Part:
    """Foresee `has(...)`: values that the write sets are known, and for all others the row decides."""
    asked = [(name, wanted, one) for name, wanted in leaf.values for one in fields_of(known.model, (name,))]
    answers = [_has(name, wanted, one, known) for name, wanted, one in asked]
    holds = False if False in answers else None if None in answers or not answers else True
    return Part(leaf, holds, _given([one for *_, one in asked], known))


def _has(name: str, wanted: Any, one: Any, known: Known) -> bool | None:
    if not _is_set(one, known) or _may_be_set(one, known):
        return None
    instance = known.model.__new__(known.model)  # without __init__, which would send pre_init and post_init
    instance._state = ModelState()
    instance.__dict__[one.attname] = known.values[one.attname]
    return has(**{name: wanted}).holds({**known.payload, "instance": instance})


def _is_set(one: Any, known: Known) -> bool:
    return one.attname in known.values


def _given(fields: Iterable[Any], known: Known) -> str:
    """Return the values that the write sets, by the names of the fields."""
    return ", ".join(
        f"{one.name} is set to {shown_value(one.name, known.values[one.attname])}"
        for one in fields
        if _is_set(one, known)
    )


def _may_be_set(one: Any, known: Known) -> bool:
    """Return whether a field may get a value before the row is written that nobody has given it."""
    names = known.may_be_set
    return names is None or one.name in names or one.attname in names or _fills_itself(one)


_OF_DJANGO = {kind.pre_save for kind in (Field, DateField, DateTimeField, TimeField, FileField)}


def _fills_itself(one: Any) -> bool:
    return one.generated or getattr(one, "auto_now", False) or type(one).pre_save not in _OF_DJANGO


def _unless_set(is_open: bool) -> str:
    return ", unless something sets it before the row is written" if is_open else ""


def joined_names(names: Collection[Names]) -> Names:
    """Return all names; None if one of them stands for any field."""
    return None if None in names else NOTHING.union(*(one for one in names if one is not None))
