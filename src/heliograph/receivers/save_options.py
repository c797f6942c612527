"""The options of receivers of saves and deletions, such as `fetch` and `keeps`, and a parameter named `changes`."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from inspect import isawaitable
from types import FunctionType
from typing import Any

from django.conf import settings
from django.db.models.signals import ModelSignal, post_delete, pre_delete, pre_save

from heliograph.bulk.listen import RecordsDeletions, listen, receives_bulk
from heliograph.catalogue import title
from heliograph.changes.comparing import Comparison
from heliograph.changes.current import changes_of, comparison, deleted
from heliograph.changes.deletion_locks import of_locked_deletions
from heliograph.changes.plans import ABSENT, PLANS
from heliograph.changes.tracking import ALL
from heliograph.changes.values import is_same, kept
from heliograph.conditions import (
    DELETIONS,
    OnFields,
    fields_of,
    is_about_complete_model,
    is_deletion,
    not_carried,
    watch_at,
    watched,
)
from heliograph.dispatch import Call, Inline
from heliograph.dispatch.condition_base import Target
from heliograph.dispatch.connecting import Request
from heliograph.dispatch.describe import describe
from heliograph.dispatch.identity import Receiver
from heliograph.dispatch.options import Fact, Options
from heliograph.dispatch.verification import parameters_of
from heliograph.model_senders import ModelConnector
from heliograph.receivers.facts import AsksFor, Databases, StillThere
from heliograph.receivers.keeping import keeps_at
from heliograph.transactions.before_write import BeforeWrite
from heliograph.transactions.inline_batches import with_batches

# With this value of fetch=, the row is read and locked in the transaction of its write.
LOCK = "lock"
# With this value, the row is locked before its write only where its UPDATE cannot verify the old values.
EXACT = "exact"

# The options that only signals of models have.
OPTIONS = ("using", "fetch", "writes", "keeps", "bulk")


class SaveConnector(ModelConnector):
    """How receivers are connected to the signals of Django that models send."""

    connect_names = (*ModelConnector.connect_names, *OPTIONS)

    def options_at(self, request: Request, receiver: Receiver, target: Target) -> Options:
        return options_at(request.options, request.more, receiver, target)


def options_at(options: Options, given: Mapping[str, Any], receiver: Callable[..., Any], target: Target) -> Options:
    """Return the options of a receiver at a target, with the facts that `OPTIONS` become.

    Raises TypeError, ValueError or FieldDoesNotExist for one that makes no sense there.
    """
    is_batch = getattr(options.delivery, "batch", False)
    if is_batch and isinstance(options.delivery, Inline):
        options = with_batches(options)
    has_facts = is_batch or not given.keys().isdisjoint(OPTIONS)
    facts = [*_facts(given, receiver, target, options)] if has_facts else []
    asked = _asked(receiver, target, options, given)
    if asked is not None:
        facts.append(asked)
    if asked is not None and (asked.changes or asked.writes):
        gives = frozenset(("changes",)) if asked.changes else frozenset[str]()
        options = replace(options, call=CallsOfSaves(asked.changes, asked.writes), gives=gives)
    return replace(options, facts=(*options.facts, *facts)) if facts else options


def _facts(given: Mapping[str, Any], receiver: Receiver, target: Target, options: Options) -> Iterator[Fact]:
    """Yield what the options `using`, `keeps`, `bulk`, `fetch` and `delivery` say about a receiver at a target."""
    using, fetch, bulk = given.get("using"), given.get("fetch"), given.get("bulk")
    if fetch == LOCK and target.signal is post_delete:
        yield StillThere()
    if not isinstance(bulk, bool | None):
        raise TypeError(f"bulk= takes True or False, not {bulk!r}.")
    if using is not None:
        yield _databases(_listed("using", using), target)
    if given.get("keeps") is not None:
        yield keeps_at(_listed("keeps", given["keeps"]), receiver, target, given)
    if bulk:
        yield receives_bulk(target)
    if target.signal in (pre_delete, post_delete) and getattr(options.delivery, "batch", False):
        yield RecordsDeletions(listen(target))


def _databases(aliases: tuple[str, ...], target: Target) -> Databases:
    """Return the fact that a receiver is for these databases; raise TypeError or ValueError where it cannot be."""
    for alias in aliases:
        if alias not in settings.DATABASES:
            there = ", ".join(map(repr, settings.DATABASES))
            raise ValueError(f"using={alias!r}: there is no such database. DATABASES has {there}.")
    names = target.carries
    if names is not None and "using" not in names:
        shown = aliases[0] if len(aliases) == 1 else [*aliases]
        raise not_carried(f"using={shown!r}", target.signal, names, ("using",))
    return Databases(aliases)


def _wants_changes(receiver: Callable[..., Any], target: Target) -> bool:
    """Return whether a receiver has a parameter named changes, which the signal itself does not send."""
    signal, names = target.signal, target.carries
    parameter = _parameter_for_changes(receiver) if isinstance(signal, ModelSignal) else None
    if parameter is None or names is None or "changes" in names:
        return False
    # On other signals, a receiver with a default for `changes` is called as Django would.
    return "update_fields" in names or signal in DELETIONS or parameter.default is parameter.empty


def _asked(receiver: Any, target: Target, options: Options, given: Mapping[str, Any]) -> AsksFor | None:
    """Return what a receiver asks for by `fetch`, `writes` and a parameter `changes`, or None."""
    fetch, writes = given.get("fetch"), given.get("writes")
    wants_changes = _wants_changes(receiver, target)
    if not (wants_changes or fetch or writes):
        return None
    names, fields = () if options.when is None else watched(options.when), _listed("writes", writes)
    _verify_signal(receiver, target, wants_changes, fetch, fields, isinstance(options.delivery, BeforeWrite))
    _verify_fetch(fetch, names or wants_changes)
    _verify_writes(receiver, target, fields, options.delivery, _listed("keeps", given.get("keeps")))
    changes = (names or ALL) if wants_changes else ()
    deletes = target.signal is post_delete
    watches = [watch_at(target, changes or (*names, *fields), fetch=fetch or False, deletes=deletes)]
    if fields:
        watches.append(watch_at(target, fields, writes=True))
    locks = of_locked_deletions.take() if deletes and fetch == LOCK else None
    return AsksFor(changes, fetch or False, fields, tuple(watches), locks)


@dataclass(frozen=True)
class CallsOfSaves:
    """Makes the calls of a receiver that is given `changes`, or that says which fields it writes."""

    changes: tuple[str, ...]
    writes: tuple[str, ...]

    def __call__(self, receiver: Callable[..., Any], payload: dict[str, Any]) -> Call:
        if self.changes:
            payload = {**payload, "changes": _changes(payload, self.changes)}
        return WritingCall(receiver, payload, self.writes) if self.writes else Call(receiver, payload)


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
        saved = self.payload["update_fields"]
        if isinstance(saved, set):
            saved.update(
                field.name for field, after in self._values().items() if self._is_set(field, before[field], after)
            )

    def _is_set(self, field: Any, before: Any, after: Any) -> bool:
        """Return whether the receiver has set a field; a field that was not loaded may only have been read."""
        if before is ABSENT:
            instance = self.payload["instance"]
            return after is not ABSENT and bool(changes_of(instance, field.name))
        return not is_same(field, before, after)


# --- mistakes -------------------------------------------------------------------------------------------------


_OF_SAVES = ("pre_save", "post_save")


def _verify_signal(
    receiver: Any, target: Target, wants_changes: bool, fetch: Any, writes: tuple[str, ...], is_before_write: bool
) -> None:
    if wants_changes:
        _verify_among(receiver, target, "a parameter named changes", (*_OF_SAVES, "pre_delete", "post_delete"))
    if fetch == LOCK and not (is_before_write and target.signal is pre_save):
        is_early = target.signal is pre_save or target.signal is pre_delete
        hint = " Rows are read right before they are written, which is later than that." if is_early else ""
        hint += " A receiver with delivery=BeforeWrite() is called then." if target.signal is pre_save else ""
        _verify_among(receiver, target, f"fetch={LOCK!r}", ("post_save", "post_delete"), hint)
    elif fetch == EXACT:
        hint = f" fetch={LOCK!r} does." if target.signal is post_delete else ""
        _verify_among(receiver, target, f"fetch={EXACT!r}", ("post_save",), hint)
    elif fetch:
        hint = f" fetch={LOCK!r} does, and reads rows before they are deleted." if target.signal is post_delete else ""
        _verify_among(receiver, target, "fetch=", _OF_SAVES, hint)
    if writes:
        _verify_among(receiver, target, "writes=", ("pre_save",))


def _verify_among(receiver: Any, target: Target, wish: str, names: tuple[str, ...], hint: str = "") -> None:
    if target.entry is None or target.entry.name not in names:
        where = " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
        raise TypeError(
            f"{describe(receiver)} has {wish}, which works on {where}, not on {title(target.signal)}.{hint}"
        )


def _verify_fetch(fetch: Any, names: Any) -> None:
    if fetch not in (None, False, True, "always", LOCK, EXACT):
        allowed = f"True, for values that are not known, 'always', {LOCK!r} or {EXACT!r}"
        raise ValueError(f"fetch= takes {allowed}, not {fetch!r}.")
    if fetch and not names:
        raise TypeError("fetch= asks for old values of no field: add when=changed(...) or a parameter named changes.")


def _verify_writes(
    receiver: Any, target: Target, writes: tuple[str, ...], delivery: Any, keeps: tuple[str, ...]
) -> None:
    for name in {*writes} & {*keeps}:
        raise TypeError(
            f"{describe(receiver)} has {name!r} in writes=, so that a save stores it, and in keeps=, so that none does."
            " Leave it out of one of them."
        )
    if writes and not isinstance(delivery, Inline | None):
        raise TypeError(f"writes= is for a receiver that runs before the save, and delivery={delivery!r} is later.")
    if is_about_complete_model(target):
        for problem in Written(writes).problems(target.sender):
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
    if is_plain and "changes" not in receiver.__code__.co_varnames:  # known without the signature, which is slow
        return None
    return next((one for one in parameters_of(receiver) or () if one.name == "changes"), None)
