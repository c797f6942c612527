"""System checks: of the settings of the outbox, and of durable receivers."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

from django.apps import apps
from django.core.checks import CheckMessage, Error, Tags
from django.core.exceptions import ImproperlyConfigured

from heliograph.dispatch.describe import describe
from heliograph.outbox.backends import backend_of
from heliograph.outbox.conf import all_settings
from heliograph.outbox.database_checks import check_databases
from heliograph.outbox.send import registry
from heliograph.outbox.send.registry import DurableReceiver


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
        _error(post, "There is no table for the deliveries of this receiver.", "E106", _HOW_TO_INSTALL)
        for post in _posts()
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
        _error(post, f"Durable(backend={post.policy.backend!r}) names no backend of the settings.", "E103", hint)
        for post in _posts(lambda post: post.policy.backend not in aliases)
    ]


def check_queues(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Return an error for each receiver whose backend cannot be told of what is in its queue."""
    return [
        _error(post, problem, "E110", "Until it can be told, what is sent waits in the table.")
        for post in _posts()
        if (problem := _problem_of_queue(post.policy.backend, post.policy.queue))
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
    """Return an error for each receiver that a worker cannot find by its name, or cannot tell from another one."""
    lost = (_error(post, *_WITHOUT_NAME) for post in _posts() if not _can_be_found(post.name))
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
    for name, posts in _by_name().items():
        if len(posts) > 1:
            yield name, [post.receiver() for post in posts]


def _twins(name: str, receivers: list[Any]) -> CheckMessage:
    return Error(
        f"{len(receivers)} durable receivers are named {name}: a worker would call only one of them.",
        hint="Give each a name of its own.",
        obj=", ".join(map(describe, receivers)),
        id="heliograph.E105",
    )


def _posts(wanted: Callable[[DurableReceiver], bool] = bool) -> Iterator[DurableReceiver]:
    """Yield what is connected, each receiver once."""
    return (post for posts in _by_name(wanted).values() for post in posts)


def _by_name(wanted: Callable[[DurableReceiver], bool] = bool) -> dict[str, list[DurableReceiver]]:
    """Return the receivers under their names, each once also if it hears several signals or had other names."""
    found: dict[str, list[DurableReceiver]] = {}
    for post in filter(wanted, itertools.chain.from_iterable(registry.known().values())):
        same = found.setdefault(post.name, [])
        if all(post.receiver() != other.receiver() for other in same):
            same.append(post)
    return found


def _error(post: DurableReceiver, text: str, number: str, hint: str) -> CheckMessage:
    return Error(text, hint=hint, obj=describe(post.receiver()), id=f"heliograph.{number}")
