"""Ways to keep two figures of the items of an order in the row of the order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any, ClassVar

from django.db import transaction
from django.db.models import Count, DecimalField, F, IntegerField, Manager, Q, Sum
from django.db.models.manager import BaseManager

from benchmarks import databases, pristine, project
from benchmarks.facts import HELIOGRAPH
from heliograph.recipes import keep

SAVES, SAVE, WRITERS = "1,000 saves in one transaction", "one save in autocommit", "8 writers of one order"
CREATE, UPDATE, DELETE = "bulk_create()", "update()", "delete()"

TOTAL = Sum(F("items__price") * F("items__quantity"), default=0)
GIFTS = Count("items", filter=Q(items__is_gift=True))


class Keeper:
    """A way to keep the figures: what it makes of the models, and how it is connected."""

    name: ClassVar[str]
    package: ClassVar[str] = ""  # what is to be installed
    module: ClassVar[str] = ""
    operations: ClassVar[Sequence[str]] = (SAVES, SAVE, WRITERS, CREATE, UPDATE, DELETE)  # after which it is right
    slow: ClassVar[Sequence[str]] = ()  # operations that take seconds
    keeps: ClassVar[bool] = True

    def bases(self) -> Sequence[type]:
        """Return the bases that the model of orders needs for it."""
        return ()

    def figures(self) -> Mapping[str, Any]:
        """Return the fields of an order that have the figures."""
        return {"total": DecimalField(max_digits=12, decimal_places=2, default=0), "gifts": IntegerField(default=0)}

    def attributes(self) -> Mapping[str, Any]:
        """Return further attributes of the models: by default, the methods of Django as it ships."""
        return pristine.saving()

    def manager(self) -> Any:
        """Return the manager of the models."""
        return BaseManager.from_queryset(pristine.queryset())()

    def atomic(self) -> Callable[..., Any]:
        """Return the function that begins a transaction."""
        return pristine.transaction().atomic

    def connect(self, order: Any, item: Any) -> None:
        """Keep the figures of an order from now on."""

    def start(self) -> None:
        """Do what is to be done once, when all models are there."""


class NothingKept(Keeper):
    """Django as it ships; the figures stay 0."""

    name = "Django, nothing kept"
    keeps = False


class ByHand(Keeper):
    """Receivers that add to the figures and subtract from them, with F()."""

    name = "F() by hand"
    operations = (SAVES, SAVE, WRITERS, DELETE)
    slow = (DELETE,)

    def connect(self, order: Any, item: Any) -> None:
        def add(instance: Any, sign: int) -> None:
            total, gifts = sign * instance.price * instance.quantity, sign * instance.is_gift
            order.objects.filter(pk=instance.order_id).update(total=F("total") + total, gifts=F("gifts") + gifts)

        def receive_saved(sender: Any, instance: Any, created: bool, **kwargs: Any) -> None:
            if created:
                add(instance, 1)

        def receive_deleted(sender: Any, instance: Any, **kwargs: Any) -> None:
            add(instance, -1)

        signals = pristine.model_signals()
        signals.post_save.connect(receive_saved, sender=item, weak=False)
        signals.post_delete.connect(receive_deleted, sender=item, weak=False)


class Recounted(Keeper):
    """A receiver that computes the figures of the order anew."""

    name = "aggregate by hand"
    operations = (SAVES, SAVE)
    slow = (SAVES,)

    def connect(self, order: Any, item: Any) -> None:
        def receive(sender: Any, instance: Any, **kwargs: Any) -> None:
            items = item.objects.filter(order_id=instance.order_id)
            figures = items.aggregate(
                total=Sum(F("price") * F("quantity"), default=0), gifts=Count("pk", filter=Q(is_gift=True))
            )
            order.objects.filter(pk=instance.order_id).update(**figures)

        pristine.model_signals().post_save.connect(receive, sender=item, weak=False)


class Computed(Keeper):
    """Fields that a method computes, after each save of an item."""

    name = package = "django-computedfields"
    module = "computedfields"
    operations = (SAVES, SAVE)
    slow = (SAVES,)

    def bases(self) -> Sequence[type]:
        return (import_module("computedfields.models").ComputedFieldsModel,)

    def figures(self) -> Mapping[str, Any]:
        computed, fields = import_module("computedfields.models").computed, super().figures()

        def total(order: Any) -> Any:
            return order.items.aggregate(total=Sum(F("price") * F("quantity"), default=0))["total"]

        def gifts(order: Any) -> Any:
            return order.items.filter(is_gift=True).count()

        return {
            "total": computed(fields["total"], depends=[("items", ["price", "quantity"])])(total),
            "gifts": computed(fields["gifts"], depends=[("items", ["is_gift"])])(gifts),
        }

    def connect(self, order: Any, item: Any) -> None:
        """Connect what its app connects, to the signals of Django as it ships, for these models only."""
        resolver, handlers = import_module("computedfields.resolver"), import_module("computedfields.handlers")
        resolver.BOOT_RESOLVER.add_model(order)
        signals = pristine.model_signals()
        signals.pre_save.connect(handlers.get_old_handler, sender=item)
        signals.post_save.connect(handlers.postsave_handler, sender=item)

    def start(self) -> None:
        import_module("computedfields.resolver").BOOT_RESOLVER.initialize()


class Trigger(Keeper):
    """Triggers for each row, written in SQL."""

    name = "row trigger"

    def connect(self, order: Any, item: Any) -> None:
        alias, tables = order.objects.db, {"order": order._meta.db_table, "item": item._meta.db_table}
        for event, update in UPDATES.items():
            for statement in CREATE_TRIGGER[alias]:
                databases.execute(alias, statement.format(event=event, update=update.format(**tables), **tables))


UPDATES = {
    "INSERT": """
        UPDATE {order} SET
            total = total + NEW.price * NEW.quantity,
            gifts = gifts + CASE WHEN NEW.is_gift THEN 1 ELSE 0 END
        WHERE id = NEW.order_id""",
    "UPDATE": """
        UPDATE {order} SET
            total = total + CASE WHEN id = NEW.order_id THEN NEW.price * NEW.quantity ELSE 0 END
                - CASE WHEN id = OLD.order_id THEN OLD.price * OLD.quantity ELSE 0 END,
            gifts = gifts + CASE WHEN id = NEW.order_id AND NEW.is_gift THEN 1 ELSE 0 END
                - CASE WHEN id = OLD.order_id AND OLD.is_gift THEN 1 ELSE 0 END
        WHERE id IN (OLD.order_id, NEW.order_id)""",
    "DELETE": """
        UPDATE {order} SET
            total = total - OLD.price * OLD.quantity,
            gifts = gifts - CASE WHEN OLD.is_gift THEN 1 ELSE 0 END
        WHERE id = OLD.order_id""",
}
CREATE_TRIGGER = {
    project.FILE: ("CREATE TRIGGER {item}_{event} AFTER {event} ON {item} BEGIN {update}; END",),
    project.POSTGRESQL: (
        "CREATE FUNCTION {item}_{event}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {update}; RETURN NULL; END $$",
        "CREATE TRIGGER keep_{event} AFTER {event} ON {item} FOR EACH ROW EXECUTE FUNCTION {item}_{event}()",
    ),
}


class Kept(Keeper):
    """Kept fields."""

    name = HELIOGRAPH

    def attributes(self) -> Mapping[str, Any]:
        return {}

    def manager(self) -> Any:
        return Manager()

    def atomic(self) -> Callable[..., Any]:
        return transaction.atomic

    def connect(self, order: Any, item: Any) -> None:
        keep(order, total=TOTAL, gifts=GIFTS)
