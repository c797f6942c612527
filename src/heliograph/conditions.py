"""Conditions on what Django's signals say: what was created, what changed, which fields were saved, which action."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from dataclasses import field as dataclass_field
from difflib import get_close_matches
from functools import cached_property
from typing import Any, Final, NamedTuple

from django.core.exceptions import FieldDoesNotExist, ObjectDoesNotExist, ValidationError
from django.core.files import File
from django.db.models import BinaryField, FileField, ForeignKey, JSONField, Model
from django.db.models.base import ModelBase
from django.db.models.signals import ModelSignal, post_delete, pre_delete
from django.utils.functional import Promise

from heliograph.catalogue import title
from heliograph.changes.comparing import Change, Comparison, stored
from heliograph.changes.current import comparison, deleted, without_wrapper
from heliograph.changes.plans import PLANS, is_among
from heliograph.changes.tracking import ALL, Watch, watch
from heliograph.changes.values import UNKNOWN, is_expression, is_same, may_mutate
from heliograph.dispatch.condition_base import Condition, Payload, Target
from heliograph.dispatch.option_errors import named_options
from heliograph.sensitive_names import sensitive_among

# --- what a send carries ----------------------------------------------------------------------------------------


@dataclass(frozen=True, repr=False)
class Carried(Condition):
    """A condition on one name of the payload, which a signal must send."""

    def connected(self, target: Target) -> Condition:
        self.verify(target, target.carries)
        return self

    def verify(self, target: Target, names: Collection[str] | None) -> None:
        """Raise an error where the question makes no sense, for a signal that sends these names, if they are known."""
        if names is not None and not {*names} & {*self.asks_for()}:
            raise not_carried(repr(self), target.signal, names, self.asks_for())

    def asks_for(self) -> tuple[str, ...]:
        """Return the names of which the signal must send one."""
        raise NotImplementedError


def not_carried(asking: str, signal: Any, names: Iterable[str], wanted: Iterable[str]) -> TypeError:
    """Return the error for an option that asks for names which a signal does not send."""
    return TypeError(
        f"{asking} asks for {' or '.join(map(repr, wanted))}, which {title(signal)} does not send;"
        f" it sends {', '.join(sorted(names)) or 'nothing'}. Take the condition away, or another signal."
    )


@dataclass(frozen=True, repr=False)
class Created(Carried):
    """The condition that the row is new; before a save, that Django takes the instance for a new one.

    It never holds for a deletion. Where a receiver is connected, TypeError is raised for a signal that says neither
    whether a row was created nor which instance is about to be saved.
    """

    def holds(self, payload: Payload) -> bool:
        created = payload.get("created")
        if created is not None:
            return bool(created)
        return not is_deletion(payload) and bool(_instance(self, payload)._state.adding)

    def verify(self, target: Target, names: Collection[str] | None) -> None:
        if target.signal in DELETIONS:
            return
        if "update_fields" in (names or ()) and not {"created", "instance"} & {*(names or ())}:  # it is about many rows
            raise not_carried(repr(self), target.signal, names or (), ("created",))
        super().verify(target, names)

    def asks_for(self) -> tuple[str, ...]:
        return "created", "update_fields"  # pre_save has the latter

    def __repr__(self) -> str:
        return "created"


@dataclass(frozen=True, repr=False)
class Raw(Carried):
    """The condition that `loaddata` or another deserialiser writes the row.

    Such a row may refer to rows that do not exist yet, so most receivers take `~raw`. It never holds for a deletion.
    """

    def holds(self, payload: Payload) -> bool:
        return bool(payload.get("raw"))

    def verify(self, target: Target, names: Collection[str] | None) -> None:
        if target.signal not in DELETIONS:
            super().verify(target, names)

    def asks_for(self) -> tuple[str, ...]:
        return ("raw",)

    def __repr__(self) -> str:
        return "raw"


created = Created()
raw = Raw()


ACTIONS = ("pre_add", "post_add", "pre_remove", "post_remove", "pre_clear", "post_clear")


@dataclass(frozen=True, repr=False)
class Action(Carried):
    """Hold where the action of m2m_changed is one of these."""

    actions: tuple[str, ...]

    def holds(self, payload: Payload) -> bool:
        return payload.get("action") in self.actions

    def asks_for(self) -> tuple[str, ...]:
        return ("action",)

    def __repr__(self) -> str:
        return f"action({_listed(self.actions)})"


@named_options
def action(*actions: str) -> Action:
    """Return the condition that m2m_changed is sent with one of these actions, such as "post_add".

    Raises ValueError for an action that m2m_changed does not have.
    """
    unknown = [name for name in actions if name not in ACTIONS]
    if unknown or not actions:
        raise ValueError(f"action({_listed(actions)}): m2m_changed has the actions {', '.join(ACTIONS)}.")
    return Action(actions)


# The signals that are sent for each deleted row.
DELETIONS = (pre_delete, post_delete)


def is_deletion(payload: Payload) -> bool:
    """Return whether a send is about the deletion of a row."""
    return payload["signal"] in DELETIONS


def asks_for_instance(leaf: Condition) -> bool:
    """Return whether a condition may need the instance, and not only what else is known of a row that was written."""
    return isinstance(leaf, Has) or not isinstance(leaf, Carried)


# --- fields of a model ------------------------------------------------------------------------------------------


class Problem(NamedTuple):
    """A mistake in a condition on a model, the advice, and the error that says so."""

    text: str
    hint: str
    error: type[Exception] = FieldDoesNotExist


@dataclass(frozen=True, repr=False)
class OnFields(Carried):
    """The base class of conditions about fields of a model; `fields` has their names as they were written."""

    fields: tuple[str, ...]

    def verify(self, target: Target, names: Collection[str] | None) -> None:
        super().verify(target, names)
        if is_about_complete_model(target):
            for problem in self.problems(target.sender):
                raise problem.error(f"{problem.text} {problem.hint}")

    def problems(self, model: Any) -> Iterator[Problem]:
        """Yield what is wrong with the condition on a model: records with `text`, `hint` and the class `error`."""
        return problems_of_names(repr(self), model, self.fields)


@dataclass(frozen=True, repr=False)
class UpdateFields(OnFields):
    """The condition that `update_fields()` returns; `fields` has the names, none for any field."""

    def holds(self, payload: Payload) -> bool:
        saved = payload.get("update_fields")
        if saved is None or not self.fields:
            return saved is not None
        return any(is_among(field, saved) for field in fields_of(payload["sender"], self.fields))

    def asks_for(self) -> tuple[str, ...]:
        return ("update_fields",)

    def __repr__(self) -> str:
        return f"update_fields({_listed(self.fields)})"


@named_options
def update_fields(*fields: str) -> UpdateFields:
    """Return the condition that `save(update_fields=...)` was called, with one of these fields if any is given.

    Of a bulk write, the condition holds if one of these fields is written. Raises TypeError for a name that is no
    string.
    """
    return UpdateFields(_names(fields))


class _Anything:
    """The value of `was` and `to` of a `Changed` that fits any value; both have it unless they are given."""

    def __repr__(self) -> str:
        return "ANYTHING"

    def __reduce__(self) -> str:
        return "ANYTHING"


ANYTHING: Final[Any] = _Anything()


class NetPayload(dict[str, Any]):
    """The payload of several sends about a row: `comparison` says how the row differs, and the instance does not."""

    comparison: Comparison | None = None


@dataclass(frozen=True, repr=False)
class Changed(OnFields):
    """The condition that `changed()` returns: a field has another value than its row had.

    `fields` has the names, none for any field. `was` and `to` have the wanted values, or `ANYTHING`. A deletion changes
    every field, to `NO_ROW`.
    """

    was: Any = dataclass_field(default=ANYTHING, hash=False)  # a list has no hash
    to: Any = dataclass_field(default=ANYTHING, hash=False)
    watch: Watch | None = dataclass_field(default=None, compare=False)

    @cached_property
    def is_any(self) -> bool:
        """Whether it names fields, and any change of one of them will do."""
        return bool(self.fields) and self.was is ANYTHING and self.to is ANYTHING

    def holds(self, payload: Payload) -> bool:
        compared = payload.comparison if isinstance(payload, NetPayload) else self._comparison(payload)
        if compared is None:
            return False
        if self.is_any:
            return compared.differs(self.fields)
        changes = compared.changes(self.fields) if self.fields else compared.all_changes()
        field_of = compared.plan.field
        return any(self._fits(field_of(name), change) for name, change in changes.items())

    def evidence(self, payload: Payload) -> object:
        compared = payload.comparison if isinstance(payload, NetPayload) else self._comparison(payload)
        if compared is None:
            return "the row is new" if payload.get("created") else "nothing is known of its changes"
        names = [field.name for field in fields_of(compared.plan.model, self.fields)] or ()
        return ", ".join(_shown_change(name, compared.values(name)) for name in names) or None

    def _comparison(self, payload: Payload) -> Comparison | None:
        instance, sender = payload.get("instance"), payload.get("sender")
        if type(instance) not in PLANS:
            instance = _instance(self, payload)
            if self.watch is not None and self.watch.wish.subclasses and not {type(instance), sender} & PLANS.keys():
                return None  # one of many models, which has none of the fields
        if is_deletion(payload):
            return deleted(instance, sender)
        return comparison(instance, payload.get("update_fields"), sender)

    def _fits(self, field: Any, change: Change) -> bool:
        return _is_value(field, self.was, change.old) and _is_value(field, self.to, change.new)

    def verify(self, target: Target, names: Collection[str] | None) -> None:
        super().verify(target, names)
        _verify_signal(self, target, names)

    def connected(self, target: Target) -> Condition:
        super().connected(target)
        return replace(self, watch=watch_at(target, self.fields or ALL))

    def problems(self, model: Any) -> Iterator[Problem]:
        yield from super().problems(model)
        given = {"was": self.was, "to": self.to}
        for name, value in given.items():
            if value is not ANYTHING:
                yield from _problems_of_value(self, model, f"{name}={value!r}", value, self.fields)

    def asks_for(self) -> tuple[str, ...]:
        return ("instance",)

    def __repr__(self) -> str:
        given = {"was": self.was, "to": self.to}
        values = [f"{name}={value!r}" for name, value in given.items() if value is not ANYTHING]
        return f"changed({', '.join([*map(repr, self.fields), *values])})"


@named_options
def changed(*fields: str, was: Any = ANYTHING, to: Any = ANYTHING) -> Changed:
    """Return the condition that holds if one of these fields has changed, or any field if none is named.

        changed("status", was="new", to=["paid", "shipped"])

    With `was` and `to`, a field must have changed from one value and to the other. A list, tuple or set means any of
    several values, except for a field whose values are lists, where a list or tuple is one value. In a created row
    nothing has changed: write `created | changed(...)`. In a deleted row every field has changed, and `to` never holds.
    A field whose old value is not known counts as changed, but `was` does not hold for it.

    Raises TypeError for a name that is no string. Where a receiver is connected, FieldDoesNotExist is raised for a
    field that the model does not have, and TypeError or ValueError for a `was` or `to` that the field cannot have.
    """
    return Changed(_names(fields), was, to)


@dataclass(frozen=True, repr=False)
class Has(OnFields):
    """The condition that `has()` returns; `values` has pairs of the name of a field and the wanted value."""

    values: tuple[tuple[str, Any], ...] = dataclass_field(default=(), hash=False)  # a list has no hash

    def holds(self, payload: Payload) -> bool:
        instance = _instance(self, payload)
        using = payload.get("using") or instance._state.db
        return all(_has_value(instance, name, wanted, using) for name, wanted in self.values)

    def evidence(self, payload: Payload) -> object:
        loaded = _instance(self, payload).__dict__
        fields = [field for field in fields_of(payload["sender"], self.fields) if field.attname in loaded]
        return ", ".join(f"{one.name} is {shown_value(one.name, loaded[one.attname])}" for one in fields) or None

    def verify(self, target: Target, names: Collection[str] | None) -> None:
        _verify_signal(self, target, names)
        super().verify(target, names)

    def problems(self, model: Any) -> Iterator[Problem]:
        yield from super().problems(model)
        for name, value in self.values:
            if name in self.fields:
                yield from _problems_of_value(self, model, f"{name}={value!r}", value, (name,))

    def asks_for(self) -> tuple[str, ...]:
        return ("instance",)

    def __repr__(self) -> str:
        return f"has({', '.join(f'{name}={value!r}' for name, value in self.values)})"


def _shown_change(name: str, change: Change) -> str:
    old, new = (shown_value(name, value) for value in change)
    return f"{name} stays {new}" if old == new else f"{name} {old} -> {new}"


def shown_value(name: str, value: Any) -> str:
    """Return a value for people to read, cut if it is long, and hidden if its name says that it is a secret."""
    if sensitive_among((name,)):
        return "(hidden)"
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."


_LONGEST_SHOWN = 60  # characters


def has(**values: Any) -> Has:
    """Return the condition that holds if all these fields of the instance have these values now.

    `has(status=["new", "paid"], is_test=False)` asks two fields: a list, tuple or set means any of several values, as
    for `changed()`. A foreign key is given by an instance or by its key. The condition costs a query for a field that
    is not loaded, and does not hold for an expression such as `F()`. Raises ValueError if no field is named.
    """
    if not values:
        raise ValueError("has() names no field: write the name and the value, as in has(status='paid').")
    return Has(tuple(values), tuple(values.items()))


def _has_value(instance: Any, name: str, wanted: Any, using: str | None) -> bool:
    for field in fields_of(type(instance), (name,)):
        try:
            value = getattr(instance, field.attname)
        except ObjectDoesNotExist:  # the field was not loaded, and cannot be, since the row is gone
            return False
        return _is_value(field, wanted, stored(field, value, using))
    return False  # the receiver is for several models, and this one has no such field


def _verify_signal(condition: Condition, target: Target, names: Collection[str] | None) -> None:
    """Raise TypeError for a Django model signal that is not about a save or a deletion, such as post_init."""
    if isinstance(target.signal, ModelSignal) and names and not {"update_fields", "origin"} & {*names}:
        raise TypeError(
            f"{condition!r} is for pre_save, post_save, the signals of a deletion and your own, not for"
            f" {title(target.signal)}. Take the condition away, or another signal."
        )


def is_about_complete_model(target: Target) -> bool:
    """Return whether a receiver is for one model, to which no app can add fields any more.

    Apps may add fields while Django loads models. A system check verifies the receivers that are connected then.
    """
    is_one_model = isinstance(target.sender, ModelBase) and not target.subclasses
    return is_one_model and bool(target.sender._meta.apps.models_ready)


def watch_at(target: Target, names: tuple[str, ...], **options: Any) -> Watch:
    """Watch fields of the models whose sends a receiver receives at a target."""
    is_class = isinstance(target.sender, ModelBase) or (isinstance(target.sender, type) and target.subclasses)
    # A signal of the user's own may send an instance of a subclass, whoever its sender is.
    with_subclasses = target.subclasses or not isinstance(target.signal, ModelSignal)
    return watch(target.sender if is_class else None, names, subclasses=with_subclasses, **options)


def watched(condition: Condition) -> tuple[str, ...]:
    """Return the names of the fields whose changes a condition asks for; ALL if it asks for any."""
    asked = [leaf.fields for leaf in condition.leaves() if isinstance(leaf, Changed)]
    return tuple(dict.fromkeys(name for fields in asked for name in fields)) if all(asked) else ALL


# --- the details ------------------------------------------------------------------------------------------------


def _names(fields: Iterable[Any]) -> tuple[str, ...]:
    for name in (fields := tuple(fields)):
        if not isinstance(name, str):
            raise TypeError(f"A field is given by its name, not as {name!r}.")
    return fields


def _listed(values: Iterable[Any]) -> str:
    return ", ".join(map(repr, values))


def _instance(condition: Condition, payload: Payload) -> Any:
    instance = payload.get("instance")
    if not isinstance(instance, Model):  # which a lazy object is, too
        raise TypeError(
            f"{condition!r} asks for 'instance', and {title(payload.get('signal'))} sent {instance!r}."
            " Send the instance of a model under this name, or take the condition away."
        )
    return without_wrapper(instance)


def _is_value(field: Any, wanted: Any, value: Any) -> bool:
    if wanted is ANYTHING:
        return True
    if value is UNKNOWN:
        return False
    keys = (_key(field, one) if isinstance(one, Model) else one for one in alternatives(field, wanted))
    return any(is_same(field, one, value) for one in keys)


def alternatives(field: Any, wanted: Any) -> Collection[Any]:
    """Return the values that a condition lets a field have, as a collection.

    `has(status=["new", "paid"])` lets the field have two values; a value that is no list is one. A list is one value
    too for a field whose values are lists.
    """
    if isinstance(wanted, set | frozenset):
        return wanted
    return wanted if isinstance(wanted, list | tuple) and not _has_lists(field, wanted) else (wanted,)


def _has_lists(field: Any, value: Any) -> bool:
    """Return whether a list is one value of a field, as for a JSONField or an ArrayField."""
    if isinstance(field, JSONField):
        return True
    if not may_mutate(field) or isinstance(field, BinaryField | FileField):
        return False
    try:
        return isinstance(field.to_python(value), list | tuple)
    except (ValidationError, TypeError, ValueError):
        return False


def _key(field: Any, instance: Model) -> Any:
    """Return what a foreign key to an instance is."""
    return getattr(instance, field.target_field.attname)


def problems_of_names(option: str, model: Any, names: tuple[str, ...]) -> Iterator[Problem]:
    """Yield what is wrong with names of fields that an option has."""
    columns = columns_of(model)
    others = {field.name: field for field in model._meta.get_fields()}
    for name in names:
        if name in others and name not in columns:
            yield Problem(f"{option}: {model._meta.label}.{name} has no column.", _instead_of(others[name]))
        elif name not in columns:
            yield Problem(f"{option}: {model._meta.label} has no field {name!r}.", suggestion(name, columns))


def columns_of(model: Any) -> set[str]:
    """Return the names by which conditions may name the fields of a model, such as "author" and "author_id"."""
    return {one for field in model._meta.concrete_fields for one in (field.name, field.attname)}


def suggestion(name: str, known: set[str]) -> str:
    """Return a hint for an unknown name: the similar known name, or else all known names."""
    close = get_close_matches(name, sorted(known), n=1)
    return f"Did you mean {close[0]!r}?" if close else f"It has {', '.join(sorted(known))}."


def _instead_of(field: Any) -> str:
    """Return a hint for a field that has no column of its own."""
    if hasattr(field, "ct_field"):  # a generic foreign key
        return f"Ask for its two columns: {field.ct_field!r}, {field.fk_field!r}."
    return "Ask for fields with a column; m2m_changed is about many-to-many fields."


def _problems_of_value(
    condition: OnFields, model: Any, given: str, value: Any, names: tuple[str, ...]
) -> Iterator[Problem]:
    if not names:
        yield Problem(f"{condition!r}: {given} is a value of no field.", "Name the field before it.", ValueError)
    for field in fields_of(model, names):
        values = alternatives(field, value)
        if not values:
            yield Problem(f"{condition!r}: {given} has no value in it.", "Give at least one.", ValueError)
        for one in values:
            if not _takes(field, one):
                kind = type(field).__name__
                text = f"{condition!r}: {one!r} is not a value of {model._meta.label}.{field.name} ({kind})."
                yield Problem(text, "Give a value that the field can have.", ValueError)


def fields_of(model: Any, names: tuple[str, ...]) -> Iterator[Any]:
    """Yield the fields of a model that have one of these names, or a column of this name such as "customer_id"."""
    return (field for field in model._meta.concrete_fields if is_among(field, names))


def _takes(field: Any, value: Any) -> bool:
    """Return whether a field can have a value; that is not known yet of a relation to a model that is not loaded."""
    related = field.remote_field and field.remote_field.model
    if value is None or isinstance(related, str):
        return True
    if isinstance(value, Model):
        is_related = isinstance(field, ForeignKey) and isinstance(value, related._meta.concrete_model)
        return is_related and _key(field, value) is not None
    if callable(value) or value is UNKNOWN or is_expression(value) or _is_other_iterable(field, value):
        return False
    try:
        field.to_python(value)
    except (ValidationError, TypeError, ValueError):
        return False
    return True


def _is_other_iterable(field: Any, value: Any) -> bool:
    """Return whether a value is an iterable, such as a generator, that is not a possible value of the field."""
    is_scalar = not isinstance(value, Iterable) or isinstance(value, str | bytes | bytearray | memoryview)
    return not (is_scalar or may_mutate(field) or isinstance(value, File | Promise))
