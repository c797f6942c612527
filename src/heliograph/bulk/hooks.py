"""Hooks: the patches that find out what is written in bulk, while somebody listens."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence, Sized
from functools import wraps
from typing import Any

from django.db.models import Model

from heliograph.bulk import m2m
from heliograph.bulk.audience import Audience, audience_of
from heliograph.bulk.bulk_update import rewritten
from heliograph.bulk.create import insertion_of
from heliograph.bulk.delete import SIGNALS as DELETE_SIGNALS
from heliograph.bulk.delete import deletion_of, empties_keys, is_of_cascade, is_received, needs_instances, read_before
from heliograph.bulk.deliver import deliver_deletion, deliver_write, send_before
from heliograph.bulk.update import SIGNALS as UPDATE_SIGNALS
from heliograph.bulk.update import Update
from heliograph.bulk.write import (
    as_one,
    as_they_were,
    get_compiler,
    in_place,
    in_transaction,
    is_in_place,
    is_part,
    unspoiled,
)
from heliograph.changes.rows import Updated
from heliograph.orm import deletion, querysets
from heliograph.orm.steps import Step
from heliograph.transactions.deleted_values import recorded
from heliograph.transactions.inline_batches import as_one_write

Method = Callable[..., Any]


def steps() -> Iterator[Step]:
    """Yield the steps that run while any receiver of bulk writes is connected."""
    yield querysets.bulk_create.step("send", _bulk_create)
    yield querysets.bulk_update.step("send", _bulk_update)
    yield querysets.update.step("send", _update)
    yield querysets.update_batch.step("send", _update_batch)
    yield deletion.delete.step("send", _delete)
    yield deletion.can_fast_delete.step("send", _can_fast_delete)
    yield deletion.has_signal_listeners.step("send", _has_signal_listeners)
    for method in querysets.get_compilers:
        yield method.step("replace", get_compiler)
    yield from m2m.steps()


def _using(queryset: Any) -> str:
    """Return the alias of the database that a query writes to."""
    queryset._for_write = True
    using: str = queryset.db
    return using


# --- bulk_create --------------------------------------------------------------------------------------------------


def _bulk_create(inner: Method) -> Method:
    @wraps(inner)
    def bulk_create(
        self: Any,
        objs: Any,
        batch_size: Any = None,
        ignore_conflicts: Any = False,
        update_conflicts: Any = False,
        update_fields: Any = None,
        unique_fields: Any = None,
    ) -> Any:
        audience = audience_of(self.model)
        if audience is None or (isinstance(objs, Sized) and not objs):
            return inner(self, objs, batch_size, ignore_conflicts, update_conflicts, update_fields, unique_fields)
        names, unique = (None if one is None else list(one) for one in (update_fields, unique_fields))
        options = (batch_size, ignore_conflicts, update_conflicts, names, unique)
        return _received_bulk_create(self, inner, audience, list(objs), options)

    return bulk_create


def _received_bulk_create(
    queryset: Any, inner: Method, audience: Audience, instances: list[Any], options: tuple[Any, ...]
) -> Any:
    using, model = _using(queryset), queryset.model
    _, _, updates, names, _ = options
    payload: dict[str, Any] = {"update_fields": None if names is None else frozenset(names), "using": using}
    with as_they_were(instances, using), in_transaction(using, model if updates else None):
        audience.send("pre_bulk_create", model, instances=instances, **payload)
        send_before(model, instances, **payload)
        insertion = insertion_of(model, using, instances, audience.reads_all("post_bulk_create"), *options[1:])
        with in_place(insertion):
            made = inner(queryset, instances, *options)
        writes, unknown = insertion.writes(made), insertion.unknown(made)
        deliver_write(audience, "post_bulk_create", model, writes, unknown, **payload)
    return made


# --- bulk_update --------------------------------------------------------------------------------------------------


def _bulk_update(inner: Method) -> Method:
    @wraps(inner)
    def bulk_update(self: Any, objs: Any, fields: Any, batch_size: Any = None) -> Any:
        audience = audience_of(self.model)
        if audience is None:
            return inner(self, objs, fields, batch_size)
        instances, names = list(objs), list(fields)
        if not _is_sound(self.model, instances, names):  # which Django has its own words for
            return inner(self, instances, names, batch_size)
        return _received_bulk_update(self, inner, audience, instances, names, batch_size)

    return bulk_update


def _received_bulk_update(
    queryset: Any, inner: Method, audience: Audience, instances: Sequence[Any], names: list[str], batch_size: Any
) -> Any:
    using, model = _using(queryset), queryset.model
    with in_transaction(using, model):
        written = set(names)  # to which receivers may add
        audience.send("pre_bulk_update", model, instances=instances, update_fields=written, using=using)
        send_before(model, instances, update_fields=written, using=using)
        names += written.difference(names)
        done: list[Updated] = []
        statements = Update(model, using, reads_all=True, deliver=done.append, is_ordered=True)
        with as_one(lambda written, _: written is model), in_place(statements):
            count = inner(queryset, instances, names, batch_size)
        # The fields are taken from the statements, since a manager may have replaced the names that it was given.
        fields = frozenset[str]().union(*(rows.update_fields for rows in done))
        writes = rewritten(done, instances) if done else []
        deliver_write(audience, "post_bulk_update", model, writes, update_fields=fields, using=using)
    return count


def _is_sound(model: Any, instances: Sequence[Any], names: Sequence[str]) -> bool:
    """Return whether Django will write anything, and not refuse it."""
    concrete = {name for one in model._meta.concrete_fields for name in (one.name, one.attname)}
    return bool(instances and names) and concrete.issuperset(names) and all(one._is_pk_set() for one in instances)


# --- update -------------------------------------------------------------------------------------------------------


def _update(inner: Method) -> Method:
    @wraps(inner)
    def update(self: Any, **kwargs: Any) -> Any:
        audience = None if is_part(self.model, kwargs) else audience_of(self.model, "pre_update", *UPDATE_SIGNALS)
        if audience is None:
            return inner(self, **kwargs)
        using = _using(self)
        statement = _update_of(audience, self.model, using) if audience.receives(*UPDATE_SIGNALS) else None
        with unspoiled(using):
            if "pre_update" not in audience.signals:
                with in_place(statement):
                    return inner(self, **kwargs)
            with in_transaction(using):
                audience.send("pre_update", self.model, queryset=self._chain(), values=kwargs, using=using)
                with in_place(statement):
                    return inner(self, **kwargs)

    return update


def _update_of(audience: Audience, model: Any, using: str) -> Update:
    """Return the statement of an update, which delivers its rows to the audience in its transaction."""

    def deliver(rows: Updated) -> None:
        deliver_write(audience, "post_update", model, [rows], update_fields=rows.update_fields, using=using)

    return Update(model, using, audience.reads_all("post_update"), deliver)


def _update_batch(inner: Method) -> Method:
    @wraps(inner)
    def update_batch(self: Any, pk_list: Any, values: Any, using: Any) -> Any:
        audience = None if is_part(self.model, values) else audience_of(self.model, *UPDATE_SIGNALS)
        if audience is None:
            return inner(self, pk_list, values, using)
        done: list[Updated] = []
        with in_place(Update(self.model, using, audience.reads_all("post_update"), done.append)):
            inner(self, pk_list, values, using)
        names = frozenset(self.get_meta().get_field(name).name for name in values)
        deliver_write(audience, "post_update", self.model, done, update_fields=names, using=using)
        return None

    return update_batch


# --- delete -------------------------------------------------------------------------------------------------------


def _delete(inner: Method) -> Method:
    @wraps(inner)
    def delete(self: Any) -> Any:
        if not is_in_place() and not empties_keys(self):
            return _received_delete(self, inner) if is_received(self) else inner(self)
        with in_place(None), as_one(is_of_cascade):  # inside of another deletion, this one is for itself
            return _received_delete(self, inner) if is_received(self) else inner(self)

    return delete


def _received_delete(collector: Any, inner: Method) -> Any:
    using, origin = collector.using, collector.origin
    instances = [one for of_model in collector.data.values() for one in of_model]
    # Django takes the keys of instances away before the commit.
    with as_they_were(instances, using), in_transaction(using, read_before(collector)):
        statements = deletion_of(collector)
        for model, audience in statements.audiences.items():
            if "pre_bulk_delete" in audience.signals and (rows := statements.queryset(collector, model)) is not None:
                audience.send("pre_bulk_delete", model, queryset=rows, using=using, origin=origin)
        with as_one_write(is_deletion=True):
            with in_place(statements), recorded(statements):
                result = inner(collector)
            for model, audience in statements.audiences.items():
                deliver_deletion(audience, statements, model, origin)
    return result


def _can_fast_delete(inner: Method) -> Method:
    @wraps(inner)
    def can_fast_delete(self: Any, objs: Any, from_field: Any = None) -> Any:
        # Of a single instance Django sends its signals itself.
        self._heliograph_is_fast = not isinstance(objs, Model)
        try:
            return inner(self, objs, from_field)
        finally:
            del self._heliograph_is_fast

    return can_fast_delete


def _has_signal_listeners(inner: Method) -> Method:
    @wraps(inner)
    def _has_signal_listeners(self: Any, model: Any) -> Any:
        if audience_of(model, *DELETE_SIGNALS) is None:
            return inner(self, model)
        # Where rows are not loaded as a whole, Django leaves out the fields that it has no use for.
        return not getattr(self, "_heliograph_is_fast", False) or needs_instances(model, self.using)

    return _has_signal_listeners
