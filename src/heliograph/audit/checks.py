"""System checks: of declarations, of the settings, and of the databases of the audit log."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from django.apps import apps
from django.core.checks import CheckMessage, Error, Tags, Warning
from django.core.exceptions import ImproperlyConfigured
from django.db import DEFAULT_DB_ALIAS, connections, router
from django.db import Error as DatabaseError

from heliograph.audit.audited_models import AUDITED, PROBLEMS
from heliograph.audit.conf import audit_settings, models_of_settings
from heliograph.audit.log_tables import TABLES

# The values of `on_delete` by which the database itself changes rows, without any code in Python.
_BY_DATABASE = ("DB_CASCADE", "DB_SET_NULL", "DB_SET_DEFAULT")


def register_all(register: Callable[..., Any]) -> None:
    """Register the checks of the audit log."""
    for check in (check_declarations, check_settings, check_cascades, check_routers, check_admin):
        register(check)
    register(check_tables, Tags.database)


def check_declarations(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Return an error for each declaration that was refused once models were loaded."""
    return [
        Error(str(problem), hint=f"It is declared at {line}.", obj="audit()", id="heliograph.E301")
        for problem, line in PROBLEMS
    ]


def check_settings(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Return an error for settings that make no sense, or that name what is not there."""
    try:
        models_of_settings()
    except (ImproperlyConfigured, LookupError) as error:
        return [Error(str(error), id="heliograph.E302")]
    return []


def check_admin(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Return a warning if Django finds its own template before the template with the links of the setting "ADMIN"."""
    names = [config.name for config in apps.get_app_configs()]
    if not _has_links() or "django.contrib.admin" not in names:
        return []
    if names.index("heliograph.audit") < names.index("django.contrib.admin"):
        return []
    text = "HELIOGRAPH['AUDIT']['ADMIN'] is on, and the change pages of audited models have no links to their history."
    hint = "Write 'heliograph.audit' before 'django.contrib.admin' in INSTALLED_APPS."
    return [Warning(text, hint=hint, id="heliograph.W302")]


def _has_links() -> bool:
    try:
        return audit_settings().admin
    except ImproperlyConfigured:  # check_settings reports it
        return False


def check_cascades(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Return a warning for each audited model whose rows the database itself deletes or changes."""
    return [
        Warning(
            f"{audited.label}.{field.name} has on_delete={field.remote_field.on_delete.__name__}: the database"
            " deletes or changes these rows by itself, and the audit log has no entries for that.",
            hint="Take the action of Django's with the same name, without DB_, or silence heliograph.W301.",
            obj=audited.model,
            id="heliograph.W301",
        )
        for audited in AUDITED.values()
        for field in audited.model._meta.local_concrete_fields
        if field.is_relation and getattr(field.remote_field.on_delete, "__name__", "") in _BY_DATABASE
    ]


def check_routers(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Return an error for each audited model that a router allows on a database without the audit log."""
    return [
        Error(
            f"{audited.label} is audited, and a router allows it on the database {alias!r}, but not the tables of the"
            " audit log: an entry is written to the database of its row.",
            hint="Let allow_migrate() allow 'heliograph_audit' on this database.",
            obj=audited.model,
            id="heliograph.E303",
        )
        for audited, alias in _allowed()
        if not _has_log(alias)
    ]


def check_tables(app_configs: Any, databases: Iterable[str] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """Return a warning for each of these databases that lacks the tables of the audit log.

    It is a warning and no error: `migrate` runs the checks of the database first, and an error would keep it from
    making the tables.
    """
    needed = {alias for _, alias in _allowed()} if AUDITED else set()
    found = (alias for alias in databases or () if alias in needed and _has_log(alias))
    return [_missing(alias) for alias in found if _lacks_tables(alias)]


def _allowed() -> Iterator[tuple[Any, str]]:
    for audited in AUDITED.values():
        for alias in connections:
            if router.allow_migrate_model(alias, audited.model) and not _is_replica(alias):
                yield audited, alias


def _is_replica(alias: str) -> bool:
    return bool(connections[alias].settings_dict["TEST"].get("MIRROR"))


def _has_log(alias: str) -> bool:
    return bool(router.allow_migrate(alias, "heliograph_audit", model_name="entry"))


def _lacks_tables(alias: str) -> bool:
    try:
        return not TABLES.are_there(alias)
    except (DatabaseError, ImproperlyConfigured, OSError):
        return False  # another check reports a database that does not answer


def _missing(alias: str) -> CheckMessage:
    option = "" if alias == DEFAULT_DB_ALIAS else f" --database {alias}"
    return Warning(
        f"The tables of the audit log on {alias!r} are missing: each save of an audited model will fail.",
        hint=f"manage.py migrate{option} makes them.",
        obj=f"DATABASES[{alias!r}]",
        id="heliograph.W303",
    )
