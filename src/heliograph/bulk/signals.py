"""The signals of writes that are no saves: of bulk writes, of queries, and of many-to-many relations."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence
from dataclasses import replace
from typing import Any, ParamSpec

from django.db.models import ManyToManyField, QuerySet

from heliograph.bulk.listen import BatchCalls, CausesSends, listen
from heliograph.catalogue import target_of
from heliograph.dispatch import Signal
from heliograph.dispatch.condition_base import Target
from heliograph.dispatch.connecting import Connector, Request
from heliograph.dispatch.identity import Receiver
from heliograph.dispatch.options import Options
from heliograph.model_senders import ModelConnector
from heliograph.transactions.batches import Batch
from heliograph.transactions.inline_batches import with_batches

P = ParamSpec("P")


class WriteConnector(ModelConnector):
    """How receivers are connected to the signals of writes: while one is, the writes are watched."""

    connect_names = (*Connector.connect_names, "apps")

    def options_at(self, request: Request, receiver: Receiver, target: Target) -> Options:
        options = with_batches(request.options.with_facts(CausesSends(listen(target))))
        return options if options.reentrant == "allow" else replace(options, call=BatchCalls(options.reentrant))


class WriteSignal(Signal[P]):
    """A signal that is sent only where somebody receives it: it takes time to find out what is written."""

    _guards_instance = True  # against being called again for any row of its batch

    _connector = WriteConnector()

    def connect(
        self,
        receiver: Receiver,
        sender: Any = None,
        weak: bool = True,
        dispatch_uid: Hashable | None = None,
        *,
        apps: Any = None,
        **options: Any,
    ) -> None:
        """Connect to a model, to several, or to one that is named "app.Model" and may not be loaded yet."""
        self._connector.connect(self, receiver, sender, weak, dispatch_uid, options, apps)

    def disconnect(
        self,
        receiver: Receiver | None = None,
        sender: Any = None,
        dispatch_uid: Hashable | None = None,
        *,
        apps: Any = None,
        **options: Any,
    ) -> bool:
        """Disconnect from a model, from several, or from one that is named "app.Model"."""
        return self._connector.disconnect(self, receiver, sender, dispatch_uid, options, apps)

    def _attended(self, sender: Any) -> object:
        return listen(target_of(self, sender))


@WriteSignal.define
def pre_bulk_create(sender: Any, *, instances: list[Any], update_fields: Collection[str] | None, using: str) -> None:
    """Rows are about to be written by `bulk_create()`.

    `instances` is the list of objects; values that a receiver assigns to them are written. `update_fields` is the set
    of names of the fields that an upsert updates, or None. An exception stops the write.
    """


@WriteSignal.define
def post_bulk_create(sender: Any, *, batch: Batch, update_fields: Collection[str] | None, using: str) -> None:
    """Rows were written by `bulk_create()`; the transaction is still open.

    `batch` is the `Batch` of the rows, `update_fields` has the names of the fields that an upsert updates, or is None.
    """


@WriteSignal.define
def pre_bulk_update(sender: Any, *, instances: Sequence[Any], update_fields: Collection[str], using: str) -> None:
    """Rows are about to be written by `bulk_update()`.

    `instances` are the objects, `update_fields` the names of the fields that are written. An exception stops the write.
    """


@WriteSignal.define
def post_bulk_update(sender: Any, *, batch: Batch, update_fields: Collection[str], using: str) -> None:
    """Rows were written by `bulk_update()`; the transaction is still open.

    `batch` is the `Batch` of the rows, `update_fields` has the names of the fields that were written.
    """


@WriteSignal.define
def pre_update(sender: Any, *, queryset: QuerySet[Any], values: dict[str, Any], using: str) -> None:
    """Rows are about to be written by `update()` of a query.

    `queryset` is the query, `values` has the new values by the names of the fields. An exception stops the write.
    """


@WriteSignal.define
def post_update(sender: Any, *, batch: Batch, update_fields: Collection[str], using: str) -> None:
    """Rows were written by `update()` of a query, or their keys by a deletion; the transaction is still open.

    `batch` is the `Batch` of exactly the rows that were written, with their old and new values; `update_fields` has the
    names of the fields.
    """


@WriteSignal.define
def pre_bulk_delete(sender: Any, *, queryset: QuerySet[Any], using: str, origin: Any) -> None:
    """Rows are about to be deleted by `delete()` of a query, or by a cascade.

    `queryset` is a query for the rows, `origin` the instance or the query that `delete()` was called on. An exception
    stops the deletion.
    """


@WriteSignal.define
def post_bulk_delete(sender: Any, *, batch: Batch, using: str, origin: Any) -> None:
    """Rows were deleted by `delete()` of a query, or by a cascade; the transaction is still open.

    `batch` is the `Batch` of the rows, `origin` the instance or the query that `delete()` was called on.
    """


@WriteSignal.define
def deletion_asked(sender: Any, *, queryset: QuerySet[Any], using: str, origin: Any) -> None:
    """Somebody asks which rows a deletion would take, as the admin does before it deletes them.

    `queryset` is a query for the rows, `origin` has the rows that somebody wants to delete. Nothing is deleted yet.
    """


@WriteSignal.define
def m2m_changes(
    sender: Any,
    *,
    field: ManyToManyField[Any, Any],
    added: frozenset[tuple[Any, Any]],
    removed: frozenset[tuple[Any, Any]],
    using: str,
    raw: bool,
) -> None:
    """Rows of a many-to-many relation were added or removed, in whichever way; the transaction is still open.

    `field` is the many-to-many field. `added` and `removed` have pairs: the key of the object that has the field, and
    the key of the other object. `raw` says whether a fixture is loaded.
    """
