"""The trackers of changes of a model that the benchmarks compare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, ClassVar

from django.db.models.signals import post_save

from benchmarks.facts import HELIOGRAPH
from benchmarks.orders import WATCHED
from benchmarks.receivers import Receiver
from heliograph import changed
from heliograph import receiver as connected
from heliograph.changes import changes_of

PLAIN = "plain model"


class Tracker:
    """A way to know what changed: what it makes of a model, and how it is asked."""

    name: ClassVar[str]
    package: ClassVar[str] = ""  # what is to be installed
    module: ClassVar[str] = ""
    load_rounds: ClassVar[int] = 2  # how often loading 10,000 is measured: more where there is a target

    def bases(self) -> Sequence[type]:
        """Return the bases that a model needs for it."""
        return ()

    def attributes(self) -> Mapping[str, Any]:
        """Return the attributes that a model needs for it."""
        return {}

    def connect(self, model: Any, receiver: Receiver) -> None:
        """Connect a receiver of post_save, with Django's own connect."""
        post_save.connect(receiver, sender=model)

    def changes(self, order: Any) -> Any:
        """Return what changed, by field."""
        raise NotImplementedError


class Plain(Tracker):
    """Nothing keeps track."""

    name = PLAIN
    load_rounds = 15


class HeliographChanges(Tracker):
    """A receiver that asks for three fields, and nothing in the model."""

    name = HELIOGRAPH
    load_rounds = 15

    def connect(self, model: Any, receiver: Receiver) -> None:
        connected(post_save, sender=model, when=changed(*WATCHED))(receiver)

    def changes(self, order: Any) -> Any:
        return changes_of(order)


class ModelUtils(Tracker):
    """A FieldTracker of the three fields."""

    name = "FieldTracker"
    package = "django-model-utils"
    module = "model_utils"

    def attributes(self) -> Mapping[str, Any]:
        return {"tracker": import_module("model_utils").FieldTracker(fields=WATCHED)}

    def changes(self, order: Any) -> Any:
        return order.tracker.changed()


class DirtyFields(Tracker):
    """A mixin that looks at the three fields."""

    name = package = "django-dirtyfields"
    module = "dirtyfields"

    def bases(self) -> Sequence[type]:
        return (import_module("dirtyfields").DirtyFieldsMixin,)

    def attributes(self) -> Mapping[str, Any]:
        return {"FIELDS_TO_CHECK": WATCHED}

    def changes(self, order: Any) -> Any:
        return order.get_dirty_fields(check_relationship=True)


class Lifecycle(Tracker):
    """A mixin that looks at all fields, here without hooks."""

    name = package = "django-lifecycle"
    module = "django_lifecycle"

    def bases(self) -> Sequence[type]:
        return (import_module("django_lifecycle").LifecycleModelMixin,)

    def changes(self, order: Any) -> Any:
        return {name: order.initial_value(name) for name in WATCHED if order.has_changed(name)}
