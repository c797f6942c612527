"""The auditors that are compared: Heliograph, three packages, and none."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from types import ModuleType
from typing import Any, ClassVar

from benchmarks import pristine, project


class Auditor:
    """A way to log the changes of a model."""

    name: ClassVar[str]
    package: ClassVar[str] = ""  # the module that it needs
    apps: ClassVar[Sequence[str]] = ()
    databases: ClassVar[Sequence[str]] = (project.FILE, project.POSTGRESQL)
    is_plain: ClassVar[bool] = False  # whether its model runs on Django as it ships
    hears_bulk: ClassVar[bool] = False

    def attributes(self) -> Mapping[str, Any]:
        """Return what the class of a model has for it."""
        return {}

    def connect(self, model: Any, alias: str) -> Sequence[Any]:
        """Log the changes of a model from now on; return further models that need a table."""
        return ()

    def install(self, model: Any, alias: str) -> None:
        """Do what needs the tables."""

    def logged(self, model: Any, alias: str) -> int | None:
        """Return the number of changes in the log; None if there is no log."""
        return None


class Nobody(Auditor):
    """Django as it ships."""

    name = "nobody listens"
    is_plain = True
    hears_bulk = True


class EmptyBatch(Auditor):
    """A receiver that is called with a batch of all changes, and does nothing."""

    name = "an empty batch receiver"
    hears_bulk = True

    def connect(self, model: Any, alias: str) -> Sequence[Any]:
        from django.db.models.signals import post_delete, post_save

        from heliograph import BeforeCommit, changed, created

        def receive(sender: Any, batch: Any, **kwargs: Any) -> None:
            pass

        names = [one.name for one in model._meta.concrete_fields if not one.primary_key]
        options: dict[str, Any] = {"sender": model, "weak": False, "bulk": True, "delivery": BeforeCommit(batch=True)}
        post_save.connect(receive, when=created | changed(*names), **options)
        post_delete.connect(receive, **options)
        return ()


class Heliograph(Auditor):
    """The audit log of Heliograph."""

    name = "Heliograph"
    apps = ("heliograph.audit",)
    hears_bulk = True
    options: ClassVar[Mapping[str, Any]] = {}

    def connect(self, model: Any, alias: str) -> Sequence[Any]:
        from heliograph.audit.audit_declarations import audit

        audit(model, **self.options)
        return ()

    def logged(self, model: Any, alias: str) -> int | None:
        from heliograph.audit.models import Entry

        return Entry.objects.using(alias).filter(kind__model=model._meta.label).count()


class Inexact(Heliograph):
    """The same without locks."""

    name = "Heliograph, exact=False"
    options: ClassVar[Mapping[str, Any]] = {"exact": False}


class Auditlog(Auditor):
    """django-auditlog."""

    name = "django-auditlog"
    package = "auditlog"
    apps = ("auditlog",)

    def connect(self, model: Any, alias: str) -> Sequence[Any]:
        from auditlog.registry import auditlog

        auditlog.register(model)
        return ()

    def logged(self, model: Any, alias: str) -> int | None:
        from auditlog.models import LogEntry

        return int(LogEntry.objects.using(alias).count())


class SimpleHistory(Auditor):
    """django-simple-history."""

    name = "django-simple-history"
    package = "simple_history"
    apps = ("simple_history",)

    def attributes(self) -> Mapping[str, Any]:
        from simple_history.models import HistoricalRecords

        return {"history": HistoricalRecords(app=project.Shops.label, use_base_model_db=True)}

    def connect(self, model: Any, alias: str) -> Sequence[Any]:
        return (model.history.model,)

    def logged(self, model: Any, alias: str) -> int | None:
        return int(model.history.model.objects.using(alias).count())


class PgHistory(Auditor):
    """django-pghistory: triggers."""

    name = "django-pghistory"
    package = "pghistory"
    apps = ("pgtrigger", "pghistory")
    databases = (project.POSTGRESQL,)
    hears_bulk = True

    def connect(self, model: Any, alias: str) -> Sequence[Any]:
        import pghistory

        # Where it looks whether the name of its model is taken.
        sys.modules.setdefault(f"{project.Shops.name}.models", ModuleType("models"))
        pghistory.track(pghistory.InsertEvent(), pghistory.UpdateEvent(), pghistory.DeleteEvent())(model)
        return (model.pgh_event_model,)

    def install(self, model: Any, alias: str) -> None:
        from pgtrigger import registered

        for of_model, trigger in registered():
            if of_model is model:
                trigger.install(model, database=alias)

    def logged(self, model: Any, alias: str) -> int | None:
        return int(model.pgh_event_model.objects.using(alias).count())


def auditors() -> list[Auditor]:
    """Return the auditors whose package is installed."""
    every = (Nobody, EmptyBatch, Heliograph, Inexact, Auditlog, SimpleHistory, PgHistory)
    return [one() for one in every if not one.package or find_spec(one.package) is not None]


def apps() -> tuple[str, ...]:
    """Return the apps of the project that the auditors need."""
    return ("django.contrib.auth", *(app for one in auditors() for app in one.apps if one.name != Inexact.name))


def methods_of(auditor: Auditor) -> Mapping[str, Any]:
    """Return the methods of a model that nobody patches, if it is Django's as it ships."""
    return {**pristine.saving(), **pristine.deleting()} if auditor.is_plain else {}


class InTheDatabaseOfTheRow:
    """A router for a package that writes to the default database, whichever has the row."""

    alias = "default"

    def db_for_write(self, model: Any, **hints: Any) -> str | None:
        """Return the database that is measured for such a model."""
        return self.alias if model._meta.app_label in ("auditlog", "contenttypes") else None

    db_for_read = db_for_write


ROUTER = InTheDatabaseOfTheRow()
