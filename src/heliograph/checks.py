"""System checks: of the settings, and of the conditions and batches of all receivers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from difflib import get_close_matches
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning
from django.db.models import Model
from django.db.models.base import ModelBase

from heliograph.bulk.audience import ReceivesBulk
from heliograph.catalogue import carried, entry_of, title
from heliograph.changes.tracking import models_below
from heliograph.conditions import DELETIONS, OnFields, Problem, columns_of
from heliograph.conf import DEFAULTS
from heliograph.dispatch import live_signals
from heliograph.dispatch.connections import Connection
from heliograph.dispatch.describe import describe
from heliograph.dispatch.inspection import connections_of
from heliograph.flow.stories.foreseen import Known, foresee
from heliograph.receivers.facts import AsksFor
from heliograph.receivers.keeping import Keeps, Kept
from heliograph.receivers.save_options import Written
from heliograph.transactions.batch_receivers import asks_for_batch


def check_settings(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Return an error for each key of settings.HELIOGRAPH that does not exist, or has a value of a wrong kind."""
    given = getattr(settings, "HELIOGRAPH", {})
    unknown = [_unknown(key) for key in given if key not in DEFAULTS]
    bools = [key for key in DEFAULTS if isinstance(DEFAULTS[key], bool)]
    no_bools = [_no_bool(key, given[key]) for key in bools if not isinstance(given.get(key, True), bool)]
    no_headers = [*map(_no_header, _HEADERS, map(given.get, _HEADERS))]
    return [*unknown, *no_bools, *filter(None, no_headers), *_no_names(given.get("SENSITIVE_FIELDS", ()))]


_HEADERS = ("CORRELATION_ID_HEADER", "REQUEST_ID_HEADER")


def _no_header(key: str, value: Any) -> CheckMessage | None:
    if value is None or (isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9-]*", value)):
        return None
    hint = "Set it to the name of a header, such as 'X-Request-ID', or to None for no header."
    return Error(f"HELIOGRAPH[{key!r}] is {value!r}.", hint=hint, id="heliograph.E001")


def _no_bool(key: str, value: Any) -> CheckMessage:
    return Error(f"HELIOGRAPH[{key!r}] is {value!r}.", hint="Set it to True or False.", id="heliograph.E001")


def _no_names(given: Any) -> Iterator[CheckMessage]:
    names = given if isinstance(given, list | tuple) else [given]
    if names is not given or not all(isinstance(name, str) and name for name in names):
        hint = "Set it to a list of names, such as 'password', and of fields of models, such as 'shop.Customer.iban'."
        yield Error(f"HELIOGRAPH['SENSITIVE_FIELDS'] is {given!r}.", hint=hint, id="heliograph.E001")
        return
    for name in names:
        if "." in name and not _is_field(*name.rpartition(".")[::2]):
            hint = "Write the model that declares the field: 'app.Model.field'."
            text = f"HELIOGRAPH['SENSITIVE_FIELDS'] has {name!r}, and there is no such field."
            yield Error(text, hint=hint, id="heliograph.E001")


def _is_field(label: str, name: str) -> bool:
    try:
        fields = apps.get_model(label)._meta.local_concrete_fields
    except (LookupError, ValueError):
        return False
    return any(field.name == name and field.model._meta.label == label for field in fields)


def _unknown(key: Any) -> CheckMessage:
    close = get_close_matches(str(key), DEFAULTS, n=1)
    hint = f"Did you mean {close[0]!r}?" if close else f"There are: {', '.join(sorted(DEFAULTS))}."
    return Error(f"HELIOGRAPH has an unknown key {key!r}.", hint=hint, id="heliograph.E001")


def check_conditions(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Return an error for each field that a condition, `writes` or `keeps` names and that no model of the receiver has.

    The check is for receivers of several models, and for receivers that are connected while Django loads models; all
    others are refused when they are connected.
    """
    return [
        Error(problem.text, hint=problem.hint, obj=describe(connection.receiver()), id="heliograph.E002")
        for _, connection in _connections()
        for condition in _conditions(connection)
        for problem in _problems(condition, _models(connection))
    ]


def check_batches(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Return an error for each receiver that asks for a batch which neither its policy nor its signal gives."""
    return [
        Error(
            f"A receiver of {signal.name} asks for a batch, and is called for each send.",
            hint=(
                "Connect it with delivery=Inline(batch=True), BeforeCommit(batch=True) or OnCommit(batch=True), or"
                " rename the parameter."
            ),
            obj=describe(receiver),
            id="heliograph.E003",
        )
        for signal, connection in _connections()
        if (receiver := connection.receiver())
        and not _gives_batch(connection)
        and asks_for_batch(receiver, carried(signal))
    ]


def check_database_deletes(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Return a warning for each receiver of rows that the database itself deletes, or changes, with others.

    It is for receivers that name a sender: one of all models is not connected for the sake of this one.
    """
    return [
        Warning(
            f"{signal.name} is not sent for rows of {key.model._meta.label} that the database {verb} along with those"
            f" of {key.related_model._meta.label}: {key.name!r} has on_delete={key.remote_field.on_delete}.",
            hint=f"Let Django do it: on_delete={str(key.remote_field.on_delete).removeprefix('DB_')}.",
            obj=describe(receiver),
            id="heliograph.W001",
        )
        for signal, connection in _connections()
        if (receiver := connection.receiver()) and connection.sender is not None
        for model in _models(connection)
        for key, verb in _left_to_database(model)
        if _would_receive(signal, connection, verb)
    ]


def check_relations(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Return an error for each receiver of `m2m_changed` or `m2m_changes` whose sender is not the model in between."""
    between = {model: _models_between(model) for model in models_below(Model)}
    senders = {one for models in between.values() for one in models}
    return [
        Error(
            f"{sender._meta.label} never sends {title(signal)}: the model between the two sides does.",
            hint=f"Pass {' or '.join(f'sender={one._meta.label!r}' for one in between[sender])}.",
            obj=describe(receiver),
            id="heliograph.E005",
        )
        for signal, connection in _connections()
        if title(signal) in ("m2m_changed", "m2m_changes") and (receiver := connection.receiver())
        if not connection.is_of_subclasses and (sender := connection.sender) not in senders
        if between.get(sender)
    ]


def check_deletions(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Return a warning for each receiver of deletions whose condition holds for none, as `created` does.

    A receiver of batches needs the deletion all the same: a row that is created and deleted is in no batch.
    """
    return [
        Warning(
            f"{title(signal)} never calls this receiver: when={connection.options.when!r}, and for a deletion"
            f" {', '.join(map(str, parts))}.",
            hint="Leave this signal out, or add a condition for deletions, such as `| changed('status')`.",
            obj=describe(receiver),
            id="heliograph.W005",
        )
        for signal, connection in _connections()
        if signal in DELETIONS and isinstance(connection.sender, ModelBase) and not _gives_batch(connection)
        if (receiver := connection.receiver())
        for holds, parts in [foresee(connection.options.when, Known({"signal": signal, "sender": connection.sender}))]
        if holds is False
    ]


def _models_between(model: Any) -> list[Any]:
    """Return the `through` models of all many-to-many fields on or to a model."""
    relations = [field for field in model._meta.get_fields(include_hidden=True) if field.many_to_many]
    found = (getattr(one, "through", None) or getattr(one.remote_field, "through", None) for one in relations)
    return sorted({one for one in found if isinstance(one, ModelBase)}, key=lambda one: one._meta.label)


def _left_to_database(model: Any) -> Iterator[tuple[Any, str]]:
    """Yield the foreign keys whose on_delete the database itself does, as in Django 6.1, with what it does to a row."""
    for field in model._meta.concrete_fields:
        on_delete = str(getattr(field.remote_field, "on_delete", ""))
        if on_delete.startswith("DB_"):
            yield field, "deletes" if on_delete == "DB_CASCADE" else "changes"


def _would_receive(signal: Any, connection: Connection, verb: str) -> bool:
    """Return whether a receiver would be called if Django itself deleted or changed the rows."""
    entry = entry_of(signal)
    if entry is None:
        return False
    if verb == "deletes":
        return entry.name in ("pre_delete", "post_delete", "pre_bulk_delete", "post_bulk_delete")
    is_bulk = connection.options.find(ReceivesBulk) is not None
    return entry.name == "post_update" or (entry.name == "post_save" and is_bulk)


def _gives_batch(connection: Connection) -> bool:
    return "batch" in connection.options.gives


def _connections() -> Iterator[tuple[Any, Connection]]:
    return ((signal, connection) for signal in live_signals() for connection in connections_of(signal))


def _conditions(connection: Connection) -> Iterator[OnFields]:
    """Yield the conditions of a receiver that name fields, and the names in its options `writes` and `keeps`."""
    when = connection.options.when
    for leaf in () if when is None else when.leaves():
        if isinstance(leaf, OnFields):
            yield leaf
    asked, keeps = connection.options.find(AsksFor), connection.options.find(Keeps)
    if asked is not None and asked.writes:
        yield Written(asked.writes)
    if keeps is not None:
        yield Kept(keeps.names)


def _problems(condition: OnFields, models: list[Any]) -> Iterator[Problem]:
    """Yield what is wrong with each field of a condition on every model."""
    for name in condition.fields:
        of_name = replace(condition, fields=(name,))
        problems = [(model, problem) for model in models if (problem := next(of_name.problems(model), None))]
        if problems and len(problems) == len(models):
            # The user means a model that has the field, so the problem with that model is reported.
            meant = (problem for model, problem in problems if name in {one.name for one in model._meta.get_fields()})
            yield next(meant, None) or _problem_of_all(condition, name, models)


def _problem_of_all(condition: OnFields, name: str, models: list[Any]) -> Problem:
    if len(models) == 1:
        return next(condition.problems(models[0]))
    known = {column for model in models for column in columns_of(model)}
    close = get_close_matches(name, sorted(known), n=1)
    hint = f"Did you mean {close[0]!r}?" if close else "Name a field of the models, or name one model as the sender."
    return Problem(f"{condition!r}: none of the {len(models)} models of this receiver has a field {name!r}.", hint)


def _models(connection: Connection) -> list[Any]:
    """Return the models whose sends a receiver receives."""
    sender = connection.sender
    if sender is None or connection.is_of_subclasses:
        return [*models_below(sender or Model)]
    return [sender] if isinstance(sender, ModelBase) else []
