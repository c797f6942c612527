"""The options and parameters of receivers of saves and deletions, such as `changes`, `fetch` and `writes`."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from inspect import isawaitable
from types import FunctionType
from typing import Any

from django.db.models.signals import ModelSignal, post_delete, pre_delete, pre_save

from heliograph.bulk.listen import Bulk, Recorded, listen
from heliograph.catalogue import carried, entry_of, title
from heliograph.changes.comparing import Comparison
from heliograph.changes.current import changes_of, comparison, deleted
from heliograph.changes.deletion_locks import of_locked_deletions
from heliograph.changes.plans import ABSENT, PLANS
from heliograph.changes.tracking import ALL, Watch
from heliograph.changes.values import is_same, kept
from heliograph.conditions import (
    DELETIONS,
    Locked,
    OnFields,
    Using,
    fields_of,
    is_about_complete_model,
    is_deletion,
    watch_at,
    watched,
)
from heliograph.dispatch import Call, Condition, Inline, condition
from heliograph.dispatch.condition_base import Target
from heliograph.dispatch.describe import describe
from heliograph.dispatch.verification import parameters_of
from heliograph.orm.steps import Hold
from heliograph.transactions.inline_batches import with_batches

# With this value of fetch=, the row is read and locked in the transaction of its write.
LOCK = "lock"

# What connect takes here beyond what the dispatcher knows.
OPTIONS = ("using", "fetch", "writes", "bulk")


def dispatched(receiver: Callable[..., Any], place: Target, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of the dispatcher that these come to, for a receiver at a place.

    Raises TypeError, ValueError or FieldDoesNotExist for one that makes no sense there.
    """
    using, fetch, writes, bulk = (options.get(name) for name in OPTIONS)
    rest = {name: value for name, value in with_batches(options).items() if name not in OPTIONS}
    if using is not None:
        _require(rest, Using(_listed("using", using)))
    if not isinstance(bulk, bool | None):
        raise TypeError(f"bulk= takes True or False, not {bulk!r}.")
    if bulk:
        _require(rest, Bulk())
    if fetch == LOCK and place.signal is post_delete:
        _require(rest, Locked())
    wants_changes = _wants_changes(receiver, place.signal)
    if wants_changes or fetch or writes:
        rest["call"] = _wishes(receiver, place, rest, wants_changes, fetch or False, _listed("writes", writes))
    if place.signal in (pre_delete, post_delete) and getattr(rest.get("delivery"), "batch", False):
        rest["call"] = Recorded(listen(place), rest.get("call") or Call)
    return rest


def _require(options: dict[str, Any], first: Condition) -> None:
    """Let a condition be asked before that of the options, if there is one."""
    when = options.get("when")
    options["when"] = first if when is None else first & when


def _wants_changes(receiver: Callable[..., Any], signal: Any) -> bool:
    """Return whether a receiver has a parameter named changes, which the signal itself does not send."""
    parameter = _parameter_for_changes(receiver) if isinstance(signal, ModelSignal) else None
    names = carried(signal) if parameter is not None else None
    if parameter is None or names is None or "changes" in names:
        return False
    # On other signals, one that can do without is called as Django would.
    return "update_fields" in names or signal in DELETIONS or parameter.default is parameter.empty


def _wishes(
    receiver: Any, place: Target, options: Mapping[str, Any], wants_changes: bool, fetch: Any, writes: tuple[str, ...]
) -> Wishes:
    when = options.get("when")
    names = () if when is None else watched(condition(when))
    _verify_signal(receiver, place, wants_changes, fetch, writes)
    _verify_fetch(fetch, names or wants_changes)
    _verify_writes(place, writes, options.get("delivery"))
    changes = (names or ALL) if wants_changes else ()
    deletes = place.signal is post_delete
    watches = [watch_at(place, changes or (*names, *writes), fetch=fetch, deletes=deletes)]
    if writes:
        watches.append(watch_at(place, writes, writes=True))
    locks = of_locked_deletions.take() if deletes and fetch == LOCK else None
    return Wishes(changes, fetch, writes, tuple(watches), locks)


@dataclass(frozen=True, repr=False)
class Wishes:
    """The options of a receiver of saves or deletions: they make its calls, and keep its model watched."""

    changes: tuple[str, ...]  # the fields whose changes it is given
    fetch: bool | str
    writes: tuple[str, ...]
    watches: tuple[Watch, ...]
    locks: Hold | None = None  # while it exists, the rows of deletions are locked

    @property
    def gives(self) -> tuple[str, ...]:
        """The names that a call has beyond the names that the signal sends."""
        return ("changes",) if self.changes else ()

    def __call__(self, receiver: Callable[..., Any], payload: dict[str, Any]) -> Call:
        if self.changes:
            payload = {**payload, "changes": _changes(payload, self.changes)}
        return WritingCall(receiver, payload, self.writes) if self.writes else Call(receiver, payload)

    def __repr__(self) -> str:
        wishes = {
            "changes": self.changes,
            f"fetch={self.fetch!r}": self.fetch,
            f"writes={[*self.writes]!r}": self.writes,
        }
        return ", ".join(text for text, is_wished in wishes.items() if is_wished)


def _changes(payload: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    instance, sender = payload["instance"], payload["sender"]
    if not (type(instance) in PLANS or sender in PLANS or instance.__class__ in PLANS):
        return {}
    if is_deletion(payload):
        compared: Comparison | None = deleted(instance, sender)
    else:
        compared = comparison(instance, payload.get("update_fields"), sender)
    if compared is None:
        return {}
    return compared.all_changes() if names == ALL else compared.changes(names)


@dataclass(frozen=True, slots=True)
class WritingCall(Call):
    """The call of a receiver of pre_save that says which fields it sets: they are saved along with update_fields."""

    writes: tuple[str, ...]

    def make(self) -> Any:
        """Call the receiver, and add the fields that it has set to update_fields."""
        before = self._values()
        response = Call.make(self)
        if isawaitable(response):
            return self._when_done(response, before)
        self._add(before)
        return response

    async def _when_done(self, response: Awaitable[Any], before: Mapping[Any, Any]) -> Any:
        result = await response
        self._add(before)
        return result

    def _values(self) -> dict[Any, Any]:
        instance = self.payload["instance"]
        values = instance.__dict__
        fields = fields_of(instance.__class__, self.writes)
        return {field: kept(values[field.attname]) if field.attname in values else ABSENT for field in fields}

    def _add(self, before: Mapping[Any, Any]) -> None:
        told = self.payload["update_fields"]
        if isinstance(told, set):
            told.update(
                field.name for field, after in self._values().items() if self._is_set(field, before[field], after)
            )

    def _is_set(self, field: Any, before: Any, after: Any) -> bool:
        """Return whether the receiver has set a field; one that was not loaded may have been by reading it."""
        if before is ABSENT:
            instance = self.payload["instance"]
            return after is not ABSENT and bool(changes_of(instance, field.name))
        return not is_same(field, before, after)


# --- mistakes -------------------------------------------------------------------------------------------------


_OF_SAVES = ("pre_save", "post_save")


def _verify_signal(receiver: Any, place: Target, wants_changes: bool, fetch: Any, writes: tuple[str, ...]) -> None:
    if wants_changes:
        _verify_among(receiver, place, "a parameter named changes", (*_OF_SAVES, "pre_delete", "post_delete"))
    if fetch == LOCK:
        is_early = place.signal is pre_save or place.signal is pre_delete
        hint = " Rows are read right before they are written, which is later than that." if is_early else ""
        _verify_among(receiver, place, f"fetch={LOCK!r}", ("post_save", "post_delete"), hint)
    elif fetch:
        hint = f" fetch={LOCK!r} does, and reads rows before they are deleted." if place.signal is post_delete else ""
        _verify_among(receiver, place, "fetch=", _OF_SAVES, hint)
    if writes:
        _verify_among(receiver, place, "writes=", ("pre_save",))


def _verify_among(receiver: Any, place: Target, wish: str, names: tuple[str, ...], hint: str = "") -> None:
    entry = entry_of(place.signal)
    if entry is None or entry.name not in names:
        where = " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
        raise TypeError(f"{describe(receiver)} has {wish}, which works on {where}, not on {title(place.signal)}.{hint}")


def _verify_fetch(fetch: Any, names: Any) -> None:
    if fetch not in (None, False, True, "always", LOCK):
        raise ValueError(f"fetch= takes True, for values that are not known, 'always' or {LOCK!r}, not {fetch!r}.")
    if fetch and not names:
        raise TypeError("fetch= asks for old values of no field: add when=changed(...) or a parameter named changes.")


def _verify_writes(place: Target, writes: tuple[str, ...], delivery: Any) -> None:
    if writes and not isinstance(delivery, Inline | None):
        raise TypeError(f"writes= is for a receiver that runs before the save, and delivery={delivery!r} is later.")
    if is_about_complete_model(place):
        for problem in Written(writes).problems(place.sender):
            raise problem.error(f"{problem.text} {problem.hint}")


@dataclass(frozen=True, repr=False)
class Written(OnFields):
    """The fields that `writes` names, verified like the fields of a condition."""

    def __repr__(self) -> str:
        return f"writes={[*self.fields]!r}"


def _listed(option: str, value: Any) -> tuple[str, ...]:
    """Return the names that an option takes, of which one may be given by itself."""
    if not isinstance(value, str | Iterable | None):
        raise TypeError(f"{option}= takes a name, or a list of names, not {value!r}.")
    names = (value,) if isinstance(value, str) else tuple(value or ())
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"{option}= takes names, not {name!r}.")
    if value is not None and not names:
        raise ValueError(f"{option}={value!r} names nothing: leave it out.")
    return names


def _parameter_for_changes(receiver: Any) -> inspect.Parameter | None:
    if isinstance(receiver, partial) and "changes" in receiver.keywords:
        return None
    is_plain = type(receiver) is FunctionType and not hasattr(receiver, "__wrapped__")
    if is_plain and "changes" not in receiver.__code__.co_varnames:  # told without the signature, which takes its time
        return None
    return next((one for one in parameters_of(receiver) or () if one.name == "changes"), None)
