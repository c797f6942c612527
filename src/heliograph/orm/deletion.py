"""Deletion: the methods of Django's collector, and of its query, that delete rows."""

from __future__ import annotations

from collections.abc import Iterator
from functools import wraps
from typing import Any

from django.db.models.deletion import Collector
from django.db.models.sql import DeleteQuery

from heliograph.orm.steps import Method, Proceed


def _delete(inner: Proceed, run: Proceed) -> Proceed:
    @wraps(inner)
    def delete(self: Any) -> Any:
        return run(self)

    return delete


delete = Method("delete", ("send", "lock_rows"), _delete, Collector)


def _instances_with_model(inner: Proceed, run: Proceed) -> Proceed:
    @wraps(inner)
    def instances_with_model(self: Any) -> Iterator[Any]:
        yield from run(self)

    return instances_with_model


# Django goes through the instances for pre_delete, before it writes anything, and later for post_delete.
instances_with_model = Method("instances_with_model", ("lock_rows",), _instances_with_model, Collector)


def _collect(inner: Proceed, run: Proceed) -> Proceed:
    @wraps(inner)
    def collect(self: Any, objs: Any, *args: Any, **kwargs: Any) -> Any:
        return run(self, objs, *args, **kwargs)

    return collect


# Finds what goes with some rows, for a deletion or for the question what a deletion would take.
collect = Method("collect", ("ask",), _collect, Collector)


def _can_fast_delete(inner: Proceed, run: Proceed) -> Proceed:
    @wraps(inner)
    def can_fast_delete(self: Any, objs: Any, from_field: Any = None) -> Any:
        return run(self, objs, from_field)

    return can_fast_delete


# Decides which rows are deleted without being loaded.
can_fast_delete = Method("can_fast_delete", ("send",), _can_fast_delete, Collector)


def _has_signal_listeners(inner: Proceed, run: Proceed) -> Proceed:
    @wraps(inner)
    def _has_signal_listeners(self: Any, model: Any) -> Any:
        return run(self, model)

    return _has_signal_listeners


# Decides which rows, and which of their fields, are loaded.
has_signal_listeners = Method("_has_signal_listeners", ("send",), _has_signal_listeners, Collector)


def _delete_batch(inner: Proceed, run: Proceed) -> Proceed:
    @wraps(inner)
    def delete_batch(self: Any, pk_list: Any, using: Any) -> Any:
        return run(self, pk_list, using)

    return delete_batch


delete_batch = Method("delete_batch", ("lock_rows",), _delete_batch, DeleteQuery)
