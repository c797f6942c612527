"""The signals of writes that are no save: of bulk ones, of queries, and of many-to-many relations."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence
from functools import partial
from typing import Any, ParamSpec

from django.db.models import ManyToManyField, QuerySet

from heliograph.bulk.listen import Attentive, listen
from heliograph.catalogue import title
from heliograph.dispatch import Signal
from heliograph.dispatch.condition_base import Target
from heliograph.dispatch.connecting import all_or_nothing
from heliograph.dispatch.connections import Receiver
from heliograph.dispatch.option_errors import refuse_unknown, verify_values
from heliograph.dispatch.signal import CONNECT, DISCONNECT
from heliograph.dispatch.verification import refuse_fleeting, verify_receiver
from heliograph.model_senders import named_senders, when_loaded
from heliograph.transactions.batches import Batch
from heliograph.transactions.inline_batches import with_batches

P = ParamSpec("P")


class WriteSignal(Signal[P]):
    """A signal that is sent only where somebody hears it: to find out what is written takes its time."""

    _guards_instance = True  # which are many here

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
        verify_values(weak=weak, dispatch_uid=dispatch_uid)
        verify_receiver(receiver)
        if weak:
            refuse_fleeting(receiver)
        refuse_unknown(lambda: f"{title(self)}.connect()", options, (*CONNECT, "apps"), receiver)
        verify_values(**{name: options[name] for name in ("order", "subclasses") if name in options})
        senders = self._named_senders(sender, options.get("subclasses", False), receiver)
        with all_or_nothing():
            for one in senders:
                when_loaded(partial(self._connect_to, receiver, weak, dispatch_uid, options), one, apps)

    def _connect_to(self, receiver: Any, weak: bool, uid: Any, options: dict[str, Any], sender: Any) -> None:
        place = Target(self, sender, options.get("subclasses", False))
        call = Attentive(listen(place), options.get("reentrant", "allow"))
        super().connect(receiver, sender, weak, uid, call=call, **with_batches(options))

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
        refuse_unknown(lambda: f"{title(self)}.disconnect()", options, (*DISCONNECT, "apps"), receiver)
        leave = partial(self._disconnect_from, receiver, dispatch_uid, options)
        senders = self._named_senders(sender, options.get("subclasses", False), receiver)
        done = [when_loaded(leave, one, apps) for one in senders]
        return any(done)

    def _disconnect_from(self, receiver: Any, uid: Any, options: dict[str, Any], sender: Any) -> bool:
        return super().disconnect(receiver, sender, uid, **options)

    def _named_senders(self, sender: Any, subclasses: bool, receiver: Any) -> Sequence[Any]:
        return named_senders(self, sender, subclasses, receiver)

    def _attended(self, sender: Any) -> object:
        return listen(Target(self, sender))


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
