"""The receivers of rows that a bulk write writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, ClassVar

from benchmarks import pristine
from benchmarks.receivers import Receiver
from heliograph import BeforeCommit, changed, created
from heliograph import receiver as connected

UPDATE, CREATE, UPDATE_EACH = "update()", "bulk_create()", "bulk_update()"

# The primary key, and what `stock` was and is. A row that is new had none.
Row = tuple[Any, Any, Any]


class Listener:
    """A way to receive bulk writes: what it makes of a model, and how it is connected."""

    name: ClassVar[str]
    package: ClassVar[str] = ""  # what is to be installed
    module: ClassVar[str] = ""
    is_slow: ClassVar[bool] = False  # whether a round takes seconds
    receives: ClassVar[bool] = True

    def bases(self) -> Sequence[type]:
        """Return the bases that a model needs for it."""
        return ()

    def attributes(self) -> Mapping[str, Any]:
        """Return the attributes that a model needs for it."""
        return {}

    def manager(self) -> Any:
        """Return the manager of a model."""
        from django.db.models import Manager

        return Manager()

    def connect(self, model: Any, operation: str, received: list[Row]) -> Receiver | None:
        """Connect and return a receiver that adds the rows an operation writes to a list, in Heliograph's form."""
        raise NotImplementedError


class Shipped(Listener):
    """Django as it ships: a second copy of its querysets, out of reach of the patches."""

    name = "Django"
    receives = False

    def manager(self) -> Any:
        from django.db.models.manager import BaseManager

        return BaseManager.from_queryset(pristine.queryset())()

    def connect(self, model: Any, operation: str, received: list[Row]) -> None:
        """Connect nothing."""


class WithoutReceivers(Listener):
    """Heliograph, whose receivers listen to other models."""

    name = "Heliograph, no receivers"
    receives = False

    def connect(self, model: Any, operation: str, received: list[Row]) -> None:
        """Connect nothing."""


class OfWrite(Listener):
    """A receiver of the signal that Heliograph has for the operation."""

    name = "Heliograph, its own signal"

    def connect(self, model: Any, operation: str, received: list[Row]) -> Receiver:
        return connected(_signals()[operation], sender=model)(_receiver(operation, received))


class OfSave(Listener):
    """A receiver of post_save that receives bulk writes too, all rows at once."""

    name = "Heliograph, post_save with bulk=True"

    def connect(self, model: Any, operation: str, received: list[Row]) -> Receiver:
        from django.db.models.signals import post_save

        options: dict[str, Any] = {"bulk": True, "delivery": BeforeCommit(batch=True)}
        return connected(post_save, sender=model, when=created | changed("stock"), **options)(
            _receiver(operation, received)
        )


class BulkTracker(Listener):
    """A base class, with a manager of its own and a FieldTracker."""

    name = package = "django-bulk-tracker"
    module = "bulk_tracker"
    is_slow = True

    def bases(self) -> Sequence[type]:
        return (import_module("bulk_tracker.models").BulkTrackerModel,)

    def attributes(self) -> Mapping[str, Any]:
        return {"tracker": import_module("model_utils").FieldTracker(fields=["stock"])}

    def manager(self) -> Any:
        return import_module("bulk_tracker.managers").BulkTrackerManager()

    def connect(self, model: Any, operation: str, received: list[Row]) -> Receiver:
        def receive(sender: Any, objects: Any, **kwargs: Any) -> None:
            pairs = [(one.instance, one.changed_values.get("stock")) for one in objects]
            received.extend((instance.pk, old, instance.stock) for instance, old in pairs)

        signals = import_module("bulk_tracker.signals")
        signal = signals.post_create_signal if operation == CREATE else signals.post_update_signal
        signal.connect(receive, sender=model)
        return receive


def _receiver(operation: str, received: list[Row]) -> Receiver:
    """Return a receiver of batches that reads all rows."""

    def receive_new(sender: Any, batch: Any, **kwargs: Any) -> None:
        received.extend((instance.pk, None, instance.stock) for instance in batch.created)

    def receive(sender: Any, batch: Any, **kwargs: Any) -> None:
        received.extend((pk, old, new) for pk, old, new in batch.changes("stock"))

    return receive_new if operation == CREATE else receive


def _signals() -> dict[str, Any]:
    from heliograph.signals import post_bulk_create, post_bulk_update, post_update

    return {UPDATE: post_update, CREATE: post_bulk_create, UPDATE_EACH: post_bulk_update}
