"""Declarations: `audit()` connects the receivers of the writes of a model."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

from django.apps import apps
from django.core.exceptions import FieldDoesNotExist, ImproperlyConfigured
from django.db.models import Model
from django.db.models.base import ModelBase
from django.db.models.signals import post_delete, post_save

from heliograph.audit.audit_policy import Recording
from heliograph.audit.audited_models import AUDITED, PROBLEMS, Audited
from heliograph.audit.conf import models_of_settings, verified_keep
from heliograph.bulk.signals import m2m_changes
from heliograph.callers import line_of_caller
from heliograph.conditions import changed, created
from heliograph.dispatch import Condition
from heliograph.dispatch.names import is_signal
from heliograph.installed import how_to_adopt
from heliograph.model_senders import when_models_are_loaded
from heliograph.outbox.payload.secrecy import is_secret
from heliograph.receivers.facts import DeclaredBy

APP = "heliograph.audit"
_REFUSALS = (TypeError, ValueError, LookupError, FieldDoesNotExist)

# The receivers of the log are called before all others: a receiver that writes the row again does so after them.
_FIRST = -(10**6)


@dataclass(frozen=True)
class _Wishes:
    """The options of a declaration."""

    exclude: Collection[str] = ()
    mask: Collection[str] = ()
    names: Collection[str] = ()
    subject: str | None = None
    exact: bool = True
    keep: timedelta | None = None

    def only(self, model: Any) -> _Wishes:
        """Return the options for a parent: without names that it does not have."""
        known = {one.name for one in (*model._meta.get_fields(),)}
        mask, names, exclude = (
            [one for one in found if one in known] for found in (self.mask, self.names, self.exclude)
        )
        return _Wishes(exclude, mask, names, self.subject if self.subject in known else None, self.exact, self.keep)


@dataclass(eq=False)
class Declaration:
    """A call of `audit()`: the handle with which it can be undone."""

    model: Any
    line: str  # its file and line
    wishes: _Wishes = field(default_factory=_Wishes, repr=False)
    audited: Audited | None = field(default=None, repr=False)  # what it has connected, once models are loaded
    is_over: bool = False

    def disconnect(self) -> bool:
        """End the audit of the model, and of parents for which there is no declaration; return whether it went on."""
        self.is_over = True
        if self.audited is None or not self.audited.disconnect():
            return False
        needed = {parent for one in AUDITED if not _is_implied(one) for parent in one._meta.all_parents}
        for parent in self.model._meta.all_parents:
            if parent in AUDITED and _is_implied(parent) and parent not in needed:
                AUDITED[parent].disconnect()
        return True


def _is_implied(model: Any) -> bool:
    return AUDITED[model].is_implied


def audit(
    model: Any = None,
    /,
    *,
    exclude: Collection[str] = (),
    mask: Collection[str] = (),
    names: Collection[str] = (),
    subject: str | None = None,
    exact: bool = True,
    keep: timedelta | None = None,
) -> Any:
    """Write an entry for each row of a model that a transaction creates, changes or deletes, in that transaction.

    `audit(Product)` or `audit("shop.Product")` stands in `models.py` or `receivers.py`, and returns a handle whose
    `disconnect()` ends the audit of the model; `@audit` or `@audit(exclude=[...])` stands on the class.

    - `exclude`: names of fields that an entry leaves out.
    - `mask`: names of fields of which an entry says only that they have changed. Fields that look like secrets are
      always masked.
    - `names`: names of foreign keys; an entry also stores `str()` of their objects, as it was at that time.
    - `subject`: the foreign key to the person whom the rows are about, for `manage.py audit forget`.
    - `exact`: with `False`, old values are taken from the instance, which is cheaper: the UPDATE does not verify them,
      and no row is locked.
    - `keep`: how long entries are kept, as a timedelta; None for the setting `KEEP`.

    Raises TypeError, ValueError, LookupError or FieldDoesNotExist for what does not fit the model: here if models are
    loaded, or else a system check reports it. Raises ImproperlyConfigured if the app is not installed.
    """
    wishes = _Wishes(exclude, mask, names, subject, exact, keep)
    _verify_options(wishes)
    if model is None:
        return partial(_decorated, wishes)
    declaration = _declared(wishes, model)
    return model if _is_decorated(model) else declaration


def _is_decorated(model: Any) -> bool:
    """Return whether a class is not in its module yet, as it is while a decorator is called."""
    return isinstance(model, ModelBase) and getattr(sys.modules.get(model.__module__), model.__name__, None) is None


def _decorated(wishes: _Wishes, model: Any) -> Any:
    _declared(wishes, model)
    return model


def _declared(wishes: _Wishes, model: Any) -> Declaration:
    _verify_model(model)
    if apps.apps_ready and not apps.is_installed(APP):
        raise ImproperlyConfigured(
            f"audit() writes to tables of the app {APP!r}: add it to INSTALLED_APPS, and run manage.py migrate."
        )
    declaration = Declaration(model, line_of_caller(), wishes)
    when_models_are_loaded(partial(_connect_declared, declaration, raises=apps.models_ready))
    return declaration


def _connect_declared(declaration: Declaration, *, raises: bool) -> None:
    if declaration.is_over:
        return
    try:
        _declare(declaration)
    except _REFUSALS as error:
        if raises:
            raise
        PROBLEMS.append((error, declaration.line))


def _declare(declaration: Declaration) -> None:
    model, wishes = declaration.model, declaration.wishes
    model = apps.get_model(model) if isinstance(model, str) else model
    declaration.model = model = model._meta.concrete_model
    before = AUDITED.get(model)
    if before is not None and not before.is_implied:
        raise ValueError(
            f"audit({model._meta.label}) is declared already, at {before.line}: put all options into one declaration."
        )
    _verify_fields(model, wishes)
    declaration.audited = _audit(model, wishes, declaration.line)
    # A write of the row of a parent is a write of its children too.
    for parent in model._meta.all_parents:
        if parent not in AUDITED and not parent._meta.proxy:
            _audit(parent, wishes.only(parent), declaration.line, is_implied=True)


def _audit(model: Any, wishes: _Wishes, line: str, *, is_implied: bool = False) -> Audited:
    """Connect the receivers of a model; an implied declaration, such as that of a parent, gives way to it."""
    if not is_signal(post_save):
        raise ImproperlyConfigured(f"The audit log needs Heliograph to run Django's signals. {how_to_adopt()}")
    if model in AUDITED:
        AUDITED[model].disconnect()
    AUDITED[model] = audited = _audited(model, wishes, line, is_implied=is_implied)
    _connect(audited)
    return audited


def _audited(model: Any, wishes: _Wishes, line: str, *, is_implied: bool) -> Audited:
    options, exclude = model._meta, wishes.exclude
    fields = {one.name: one for one in _own_fields(options) if one.name not in exclude}
    relations = {one.name: one for one in options.local_many_to_many if one.name not in exclude}
    masked = frozenset(name for name, one in fields.items() if name in wishes.mask or _is_always_masked(one))
    named = tuple(name for name in wishes.names if name in fields and name not in masked)
    own = (wishes.subject, wishes.exact, wishes.keep, line, is_implied)
    return Audited(model, fields, relations, masked, named, *own)


def _is_always_masked(field: Any) -> bool:
    return field.name == "password" or is_secret(field)


def _own_fields(options: Any) -> Iterable[Any]:
    return (one for one in options.local_concrete_fields if not one.primary_key and not one.generated)


# --- settings ---------------------------------------------------------------------------------------------------


def declare_settings() -> None:
    """Audit the models that the settings name and no declaration audits; a system check reports mistakes."""
    try:
        models = [*models_of_settings()]
    except (ImproperlyConfigured, LookupError):
        return
    for model in models:
        for one in (model, *model._meta.all_parents):
            if one not in AUDITED and not one._meta.proxy:
                _audit(one, _Wishes(), "HELIOGRAPH['AUDIT']['MODELS']", is_implied=True)


# --- mistakes ---------------------------------------------------------------------------------------------------


def _verify_options(wishes: _Wishes) -> None:
    for name in ("exclude", "mask", "names"):
        given = getattr(wishes, name)
        if (
            isinstance(given, str)
            or not isinstance(given, Collection)
            or not all(isinstance(one, str) for one in given)
        ):
            raise TypeError(f"audit({name}=...) takes a list of names of fields, not {given!r}.")
    if wishes.subject is not None and not isinstance(wishes.subject, str):
        raise TypeError(f"audit(subject=...) takes the name of a foreign key, not {wishes.subject!r}.")
    if not isinstance(wishes.exact, bool):
        raise TypeError(f"audit(exact=...) takes True or False, not {wishes.exact!r}.")
    try:
        verified_keep(wishes.keep, "audit()")
    except ImproperlyConfigured:
        raise TypeError(f"audit(keep=...) takes a timedelta of more than nothing, not {wishes.keep!r}.") from None


def _verify_model(model: Any) -> None:
    if isinstance(model, str):
        if model.count(".") != 1:
            raise ValueError(f"audit() takes a model, or its label such as 'shop.Product', not {model!r}.")
        return
    if not isinstance(model, ModelBase) or model is Model:
        raise TypeError(f"audit() takes a model, or its label such as 'shop.Product', not {model!r}.")
    options: Any = model._meta  # type: ignore[attr-defined]  # it is a model
    if options.abstract or options.swapped:
        raise TypeError(f"audit() takes a model with a table, and {options.label} is abstract or swapped.")
    if options.app_label == "heliograph_audit":
        raise TypeError(f"audit() takes a model of yours: {options.label} is the log itself.")


def _verify_fields(model: Any, wishes: _Wishes) -> None:
    fields = {one.name: one for one in (*model._meta.concrete_fields, *model._meta.many_to_many)}
    for option, name in _named_fields(wishes):
        if name not in fields:
            known = ", ".join(sorted(fields))
            raise FieldDoesNotExist(f"audit({option}=...): {model._meta.label} has no field {name!r}. It has: {known}.")
        if option == "mask" and fields[name] in model._meta.many_to_many:
            raise TypeError(f"audit(mask=...): {name!r} is a relation, of which an entry has keys. Use exclude=.")
        if option in ("names", "subject") and not (fields[name].many_to_one or fields[name].one_to_one):
            raise TypeError(f"audit({option}=...) takes a foreign key, and {model._meta.label}.{name} is none.")


def _named_fields(wishes: _Wishes) -> Iterator[tuple[str, str]]:
    for option in ("exclude", "mask", "names"):
        yield from ((option, name) for name in getattr(wishes, option))
    if wishes.subject is not None:
        yield "subject", wishes.subject


# --- receivers --------------------------------------------------------------------------------------------------


def _connect(audited: Audited) -> None:
    """Connect the receivers of the writes of a model's table and of its relations."""
    delivery, record = Recording(audited=audited), _receiver_of(audited.label)
    options = {"sender": audited.model, "subclasses": True, "bulk": True, "delivery": delivery, "order": _FIRST}
    saved, deleted = _conditions(audited)
    of_saves, of_deletions = ("exact", "lock") if audited.exact and audited.fields else (False, False)
    _connect_one(audited, post_save, record, when=saved, fetch=of_saves, **options)
    _connect_one(audited, post_delete, record, when=deleted, fetch=of_deletions, **options)
    for one in audited.relations.values():
        _connect_one(audited, m2m_changes, record, sender=one.remote_field.through, delivery=delivery)


def _conditions(audited: Audited) -> tuple[Condition, Condition | None]:
    """Return the conditions by which receivers of saves and of deletions watch the fields."""
    if not audited.fields:
        return created, None
    change = changed(*audited.fields)
    return created | change, change


def _connect_one(audited: Audited, signal: Any, record: Callable[..., None], *, sender: Any, **options: Any) -> None:
    uid = f"heliograph.audit {audited.label}"
    fact = DeclaredBy(f"audit({audited.label})", audited.line, partial(_entries_of, audited))
    signal.connect(record, sender=sender, weak=False, dispatch_uid=uid, facts=(fact,), **options)
    where = {"subclasses": True} if "subclasses" in options else {}
    audited.undo.append(partial(signal.disconnect, sender=sender, dispatch_uid=uid, **where))


def _entries_of(audited: Audited) -> list[str]:
    """Return the line that says which fields the entries have, as `explain()` shows it."""
    names = [f"{name} (masked)" if name in audited.masked else name for name in (*audited.fields, *audited.relations)]
    return [f"the audit log ({', '.join(names) or 'no field'})"]


def _receiver_of(label: str) -> Callable[..., None]:
    """Return the receiver under whose name lists show an audited model; `Recording` takes its calls."""

    def record(sender: Any, batch: Any, **kwargs: Any) -> None:
        raise AssertionError("Recording makes no calls.")

    record.__qualname__ = f"audit({label})"
    return record
