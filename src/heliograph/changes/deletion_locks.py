"""Deletions: rows are read and locked before Django's collector deletes them, for receivers with `fetch="lock"`."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from django.db import connections
from django.db.models.deletion import Collector

from heliograph.changes.plans import PLANS, Plan
from heliograph.changes.row_locks import immediate, is_in_transaction, lock_database, locked_rows
from heliograph.changes.rows import normal_key
from heliograph.changes.under_way import Deleting
from heliograph.orm import deletion
from heliograph.orm.steps import PatchLease, Proceed, Step


def _steps() -> Iterator[Step]:
    """Yield the steps that read and lock rows, so that receivers of post_delete get their last values."""
    yield deletion.delete.step("lock_rows", _delete)
    yield deletion.instances_with_model.step("lock_rows", _instances_with_model)
    yield deletion.delete_batch.step("lock_rows", _delete_batch)


# Taken by each receiver of post_delete with fetch="lock".
of_locked_deletions = PatchLease(_steps)


@dataclass(frozen=True, eq=False)
class _Deletion:
    """A deletion under way: its collector, and the instances whose rows are locked."""

    collector: Collector
    instances: ExitStack = field(default_factory=ExitStack)
    missing: set[tuple[Any, Any]] = field(default_factory=set)  # models and keys of rows that were gone

    @contextmanager
    def block(self, model: Any) -> Iterator[None]:
        """Take SQLite's lock for writing first: a receiver of pre_delete may read, after which SQLite may refuse it."""
        using = self.collector.using
        if is_in_transaction(using):
            lock_database(connections[using], model)
        with self.instances, immediate(connections[using]):
            yield

    def lock(self) -> None:
        """Read and lock the rows, and give each instance the values of its row until the end of the deletion."""
        for model, instances in self.collector.data.items():
            plan = _plan_of(model)
            if plan is not None and instances:
                self._lock(plan, instances)

    def _lock(self, plan: Plan, instances: Collection[Any]) -> None:
        keys = [normal_key(one) for one in instances]
        rows = locked_rows(plan, plan.locked_at_end, self.collector.using, keys, are_kept=False)
        for key, one in zip(keys, instances, strict=True):
            self.instances.enter_context(Deleting(one, plan, self.collector.using, rows.get(key)))
        self.missing.update((plan.model, one.pk) for key, one in zip(keys, instances, strict=True) if key not in rows)


_under_way: ContextVar[_Deletion | None] = ContextVar("heliograph_deletion", default=None)


def _plan_of(model: Any) -> Plan | None:
    """Return the plan of a model if its rows are locked before they are deleted, else None.

    Automatic through models are left out, since Django sends no signals for them.
    """
    plan = None if model._meta.auto_created else PLANS.get(model)
    return plan if plan is not None and plan.locked_at_end else None


def _delete(proceed: Proceed, collector: Any) -> Any:
    model = next(filter(_plan_of, collector.data), None)
    under_way = None if model is None else _Deletion(collector)
    token = _under_way.set(under_way)
    try:
        with nullcontext() if under_way is None else under_way.block(model):
            return proceed(collector)
    finally:
        _under_way.reset(token)


# Rows are read right after pre_delete, so that the values include the writes of its receivers. Later would be too late:
# on a database without deferred constraints, Django's next step empties foreign keys in the rows that it will delete.


def _instances_with_model(proceed: Proceed, collector: Any) -> Iterator[Any]:
    yield from proceed(collector)
    under_way = _under_way.get()
    if under_way is not None and under_way.collector is collector and is_in_transaction(collector.using):
        under_way.lock()


def _delete_batch(proceed: Proceed, query: Any, keys: Any, using: str) -> Any:
    under_way = _under_way.get()
    if under_way is not None and under_way.missing:
        # Another transaction may have inserted a missing row again while this one waited for its lock.
        keys = [key for key in keys if (query.model, key) not in under_way.missing]
    return proceed(query, keys, using)
