"""Django as it ships: second copies of its modules, out of reach of the patches."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from types import ModuleType
from typing import Any
from unittest.mock import patch

from django import dispatch


@cache
def dispatcher() -> ModuleType:
    """Return a copy of django.dispatch.dispatcher."""
    return copied("django.dispatch.dispatcher")


@cache
def model_signals() -> ModuleType:
    """Return a copy of django.db.models.signals, with signals of the copied dispatcher."""
    with patch.object(dispatch, "Signal", dispatcher().Signal):
        return copied("django.db.models.signals")


@cache
def transaction() -> ModuleType:
    """Return a copy of django.db.transaction."""
    return copied("django.db.transaction")


@cache
def queryset() -> Any:
    """Return QuerySet, with the copies of transactions, deletion and signals."""
    query = copied("django.db.models.query")
    vars(query).update(transaction=transaction(), Collector=collector())
    return query.QuerySet


@cache
def collector() -> Any:
    """Return the class that deletes rows, with the copies of transactions and signals."""
    deletion = copied("django.db.models.deletion")
    vars(deletion).update(transaction=transaction(), signals=model_signals())
    return deletion.Collector


@cache
def saving() -> dict[str, Any]:
    """Return the methods that save a model, with the copied signals."""
    base, signals = copied("django.db.models.base"), model_signals()
    vars(base).update(pre_save=signals.pre_save, post_save=signals.post_save)
    return {name: vars(base.Model)[name] for name in ("save_base", "_save_table")}


@cache
def deleting() -> dict[str, Any]:
    """Return the method that deletes an instance, with the copied deletion."""
    base = copied("django.db.models.base")
    vars(base).update(Collector=collector())
    return {"delete": vars(base.Model)["delete"]}


def copied(name: str) -> ModuleType:
    original = find_spec(name)
    assert original is not None
    assert original.origin is not None
    spec: Any = spec_from_file_location(f"pristine.{name}", original.origin)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
