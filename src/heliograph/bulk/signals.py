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
    """Rows are about to be written by bulk_create()."""


@WriteSignal.define
def post_bulk_create(sender: Any, *, batch: Batch, update_fields: Collection[str] | None, using: str) -> None:
    """Rows were written by bulk_create()."""


@WriteSignal.define
def pre_bulk_update(sender: Any, *, instances: Sequence[Any], update_fields: Collection[str], using: str) -> None:
    """Rows are about to be written by bulk_update()."""


@WriteSignal.define
def post_bulk_update(sender: Any, *, batch: Batch, update_fields: Collection[str], using: str) -> None:
    """Rows were written by bulk_update()."""


@WriteSignal.define
def pre_update(sender: Any, *, queryset: QuerySet[Any], values: dict[str, Any], using: str) -> None:
    """Rows are about to be written by update() of a query."""


@WriteSignal.define
def post_update(sender: Any, *, batch: Batch, update_fields: Collection[str], using: str) -> None:
    """Rows were written by update() of a query."""


@WriteSignal.define
def pre_bulk_delete(sender: Any, *, queryset: QuerySet[Any], using: str, origin: Any) -> None:
    """Rows are about to be deleted by delete() of a query, or by a cascade."""


@WriteSignal.define
def post_bulk_delete(sender: Any, *, batch: Batch, using: str, origin: Any) -> None:
    """Rows were deleted by delete() of a query, or by a cascade."""


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
    """Rows of a many-to-many relation were added or removed, in whichever way."""
