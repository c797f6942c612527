"""System checks: of the settings of the outbox, and of durable receivers."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

from django.apps import apps
from django.core.checks import CheckMessage, Error, Tags
from django.core.exceptions import ImproperlyConfigured

from heliograph.dispatch.describe import describe
from heliograph.outbox.conf import all_settings
from heliograph.outbox.database_checks import check_databases
from heliograph.outbox.durable import registry
from heliograph.outbox.durable.registry import DurableReceiver
from heliograph.outbox.notify.lookup import backend_of


def register_all(register: Callable[..., Any]) -> None:
    """Register the checks of an outbox that is installed."""
    for check in (check_settings, check_backends, check_queues, check_names):
        register(check)
    register(check_databases, Tags.database)


# --- settings ---------------------------------------------------------------------------------------------------


def check_settings(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Return an error for settings that make no sense, and for each backend that cannot be made of them."""
    try:
        aliases = [*all_settings()]
    except ImproperlyConfigured as error:
        return [Error(str(error), id="heliograph.E101")]
    return [message for alias in aliases for message in _problems_of_backend(alias)]


def _problems_of_backend(alias: str) -> Iterator[CheckMessage]:
    try:
        backend_of(alias)
    except (ImportError, ImproperlyConfigured, TypeError) as error:
        yield Error(
            f"The backend {alias!r} of HELIOGRAPH_OUTBOX cannot be used: {error}",
            hint="BACKEND is the path of a class, whose package is installed; OPTIONS are those that it takes.",
            id="heliograph.E102",
        )


# --- receivers --------------------------------------------------------------------------------------------------


def check_installed(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Return an error for each durable receiver, if there is no table for its deliveries."""
    if apps.is_installed("heliograph.outbox"):
        return []
    return [
        _error(durable, "There is no table for the deliveries of this receiver.", "E106", _HOW_TO_INSTALL)
        for durable in _receivers()
    ]


_HOW_TO_INSTALL = "Add 'heliograph.outbox' to INSTALLED_APPS, and migrate."


def check_backends(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Return an error for each receiver whose backend is not in the settings."""
    try:
        aliases = all_settings()
    except ImproperlyConfigured:
        return []  # which another check says
    hint = f"HELIOGRAPH_OUTBOX has {', '.join(map(repr, aliases))}."
    return [
        _error(durable, f"Durable(backend={durable.policy.backend!r}) names no backend of the settings.", "E103", hint)
        for durable in _receivers(lambda durable: durable.policy.backend not in aliases)
    ]


def check_queues(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Return an error for each receiver whose backend cannot be notified of deliveries in its queue."""
    return [
        _error(durable, problem, "E110", "Until it can be notified, what is sent waits in the table.")
        for durable in _receivers()
        if (problem := _problem_of_queue(durable.policy.backend, durable.policy.queue))
    ]


def _problem_of_queue(backend: str, queue: str) -> str | None:
    try:
        found = backend_of(backend)
    except (ImportError, ImproperlyConfigured, TypeError):
        return None  # which other checks say
    try:
        found.verify(queue)
    except ImproperlyConfigured as error:
        return str(error)
    return None


def check_names(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Return an error for each receiver that a worker cannot find by its name, and for names of several receivers."""
    lost = (_error(durable, *_WITHOUT_NAME) for durable in _receivers() if not _can_be_found(durable.name))
    same = (_twins(name, of_name) for name, of_name in _several() if _can_be_found(name))
    return [*lost, *same]


_WITHOUT_NAME = (
    "A worker, which is another process, cannot find this receiver by its name.",
    "E104",
    "Write it as a function of a module; what it takes from around it can be sent with the signal.",
)


def _can_be_found(name: str) -> bool:
    return "<" not in name and not name.startswith(("__main__.", "partial(__main__."))


def _several() -> Iterator[tuple[str, list[Any]]]:
    """Yield the names that several receivers have, with these."""
    for name, receivers in _by_name().items():
        if len(receivers) > 1:
            yield name, [durable.receiver() for durable in receivers]


def _twins(name: str, receivers: list[Any]) -> CheckMessage:
    return Error(
        f"{len(receivers)} durable receivers are named {name}: a worker would call only one of them.",
        hint="Give each a name of its own.",
        obj=", ".join(map(describe, receivers)),
        id="heliograph.E105",
    )


def _receivers(wanted: Callable[[DurableReceiver], bool] = bool) -> Iterator[DurableReceiver]:
    """Yield the connected receivers, each once."""
    return (durable for receivers in _by_name(wanted).values() for durable in receivers)


def _by_name(wanted: Callable[[DurableReceiver], bool] = bool) -> dict[str, list[DurableReceiver]]:
    """Return the receivers by name, each once, also if it is connected to several signals."""
    found: dict[str, list[DurableReceiver]] = {}
    for durable in filter(wanted, itertools.chain.from_iterable(registry.known().values())):
        same = found.setdefault(durable.name, [])
        if all(durable.receiver() != other.receiver() for other in same):
            same.append(durable)
    return found


def _error(durable: DurableReceiver, text: str, number: str, hint: str) -> CheckMessage:
    return Error(text, hint=hint, obj=describe(durable.receiver()), id=f"heliograph.{number}")
