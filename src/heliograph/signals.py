"""Every signal by name: Django's, which are the same objects as in Django, and the signals of bulk writes."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from django import VERSION

from heliograph.catalogue import CATALOGUE

if TYPE_CHECKING:
    from heliograph.bulk.signals import deletion_asked as deletion_asked
    from heliograph.bulk.signals import m2m_changes as m2m_changes
    from heliograph.bulk.signals import post_bulk_create as post_bulk_create
    from heliograph.bulk.signals import post_bulk_delete as post_bulk_delete
    from heliograph.bulk.signals import post_bulk_update as post_bulk_update
    from heliograph.bulk.signals import post_update as post_update
    from heliograph.bulk.signals import pre_bulk_create as pre_bulk_create
    from heliograph.bulk.signals import pre_bulk_delete as pre_bulk_delete
    from heliograph.bulk.signals import pre_bulk_update as pre_bulk_update
    from heliograph.bulk.signals import pre_update as pre_update
    from heliograph.signal_types import ModelSignal, Signal

    class_prepared: ModelSignal
    connection_created: Signal
    got_request_exception: Signal
    m2m_changed: ModelSignal
    post_delete: ModelSignal
    post_init: ModelSignal
    post_migrate: Signal
    post_save: ModelSignal
    pre_delete: ModelSignal
    pre_init: ModelSignal
    pre_migrate: Signal
    pre_save: ModelSignal
    request_finished: Signal
    request_started: Signal
    setting_changed: Signal
    task_enqueued: Signal
    task_finished: Signal
    task_started: Signal
    template_rendered: Signal
    user_logged_in: Signal
    user_logged_out: Signal
    user_login_failed: Signal

# The names that `from heliograph.signals import *` brings. Left out is template_rendered: to import it from Django
# connects receivers that only a test run needs.
__all__ = [
    "class_prepared",
    "connection_created",
    "deletion_asked",
    "got_request_exception",
    "m2m_changed",
    "m2m_changes",
    "post_bulk_create",
    "post_bulk_delete",
    "post_bulk_update",
    "post_delete",
    "post_init",
    "post_migrate",
    "post_save",
    "post_update",
    "pre_bulk_create",
    "pre_bulk_delete",
    "pre_bulk_update",
    "pre_delete",
    "pre_init",
    "pre_migrate",
    "pre_save",
    "pre_update",
    "request_finished",
    "request_started",
    "setting_changed",
    "user_logged_in",
    "user_logged_out",
    "user_login_failed",
]
if VERSION >= (6, 0):  # pragma: django>=6.0
    __all__ += ["task_enqueued", "task_finished", "task_started"]


def __getattr__(name: str) -> Any:
    # On demand, since some of these modules do things when they are imported: django.test.signals connects the
    # receivers that reset caches in tests.
    if name not in CATALOGUE:
        raise AttributeError(f"module {__name__!r} has no signal {name!r}: it has {', '.join(sorted(CATALOGUE))}")
    entry = CATALOGUE[name]
    try:
        return getattr(import_module(entry.module), name)
    except ModuleNotFoundError:
        raise AttributeError(f"{name} needs Django {entry.since[0]}.{entry.since[1]} or later") from None


def __dir__() -> list[str]:
    return sorted(CATALOGUE)
