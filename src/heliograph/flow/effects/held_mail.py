"""Mail is held while effects are recorded: the backends of Django send nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from functools import wraps
from typing import Any

from django.conf import settings
from django.core.mail.backends.base import BaseEmailBackend
from django.utils.module_loading import import_string

from heliograph.flow.effects.seen_effects import is_recording, record
from heliograph.orm.steps import Method, PatchLease, Proceed, Step


def hold_messages(proceed: Proceed, backend: Any, messages: Any) -> Any:
    """Record messages and send none of them, where effects are recorded."""
    if not is_recording():
        return proceed(backend, messages)
    held = [*(messages or ())]
    for message in held:
        count = len(message.recipients())
        text = f"mail {str(message.subject)!r} to {count} {'recipient' if count == 1 else 'recipients'}"
        record("mail", text, is_held=True, about=message)
    return len(held)


def _messages(inner: Proceed, run: Proceed) -> Proceed:
    @wraps(inner)
    def send_messages(self: Any, email_messages: Any) -> Any:
        return run(self, email_messages)

    return send_messages


_SMTP = "django.core.mail.backends.smtp.EmailBackend"  # which a mailer has that names no other backend
_send_messages = Method("send_messages", ("hold",), _messages)


def _steps() -> Iterator[Step]:
    """Yield a step for each backend that is known now: all that are imported, and those of the settings."""
    for backend in dict.fromkeys((*_of_settings(), *_subclasses(BaseEmailBackend))):
        if "send_messages" in vars(backend):
            yield _send_messages.step("hold", hold_messages, backend)


def _of_settings() -> Iterator[type[Any]]:
    """Yield the classes of the backends of the settings; one that cannot be imported can send nothing."""
    for path in _paths():
        with suppress(ImportError):
            yield from import_string(path).__mro__[:-1]


def _paths() -> list[str]:
    """Return the backends of MAILERS, which Django has since 6.1, or that of EMAIL_BACKEND."""
    mailers = getattr(settings, "MAILERS", None)
    if mailers is not None:
        return [mailer.get("BACKEND", _SMTP) for mailer in mailers.values()]
    # Django 6.1 warns of each look at EMAIL_BACKEND, also at its default.
    return [settings.EMAIL_BACKEND] if settings.is_overridden("EMAIL_BACKEND") else [_SMTP]  # type: ignore[misc]  # a stub lacks it


def _subclasses(owner: type[Any]) -> Iterator[type[Any]]:
    for subclass in owner.__subclasses__():
        yield subclass
        yield from _subclasses(subclass)


of_backends = PatchLease(_steps)
