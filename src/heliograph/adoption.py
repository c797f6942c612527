"""Adoption: Heliograph runs the signals of Django, until it gives them back."""

from __future__ import annotations

from heliograph.model_senders import DjangoConnector
from heliograph.orm import django_signals
from heliograph.orm.django_signals import is_adopted, release
from heliograph.receivers.save_options import SaveConnector

__all__ = ["adopt", "is_adopted", "release"]


def adopt() -> None:
    """Let Heliograph run every signal of Django's class, those that exist and those that are made later.

    The app "heliograph" does this when it is loaded; to do it again is harmless.
    """
    django_signals.adopt(DjangoConnector(), SaveConnector())
