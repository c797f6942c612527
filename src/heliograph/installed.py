"""The entry of Heliograph in INSTALLED_APPS, with the checks that it is there and is the first one."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning

from heliograph.conf import setting

NAME = "heliograph"


def how_to_adopt() -> str:
    """Return the advice after which Heliograph runs Django's signals; this works while apps load, too."""
    if not any(entry == NAME or entry.startswith(f"{NAME}.apps.") for entry in settings.INSTALLED_APPS):
        return f"Add {NAME!r} to INSTALLED_APPS, as the first entry."
    if not setting("ADOPT_DJANGO_SIGNALS"):
        return "HELIOGRAPH has ADOPT_DJANGO_SIGNALS off: turn it on, or leave the option out."
    return f"Move {NAME!r} up in INSTALLED_APPS, above the app that connects this receiver: best to the first place."


def check_entry(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Return an error if Heliograph is used but not installed, and a warning if other apps come before it."""
    names = [config.name for config in apps.get_app_configs()]
    if NAME not in names:
        return [_missing(f"{NAME}.outbox" in names)]
    return [_late(names[: names.index(NAME)])] if names.index(NAME) else []


def _missing(has_outbox: bool) -> CheckMessage:
    used = f"INSTALLED_APPS has '{NAME}.outbox'" if has_outbox else f"A receiver is connected by {NAME}.receiver"
    return Error(
        f"{used}, and {NAME!r} is not in INSTALLED_APPS: Django's own dispatcher runs the signals, and nothing checks"
        " the receivers.",
        hint=how_to_adopt(),
        id="heliograph.E004",
    )


def _late(before: list[str]) -> CheckMessage:
    return Warning(
        f"{NAME!r} comes after {', '.join(map(repr, before))} in INSTALLED_APPS: while these load, Django's own"
        " dispatcher runs the signals, and a receiver that they connect with order= or subclasses= is refused.",
        hint=f"Move {NAME!r} to the first place. If another app has to be there, silence heliograph.W002.",
        id="heliograph.W002",
    )
