"""The payload of a send that a test describes: values that the test does not give are the usual ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import DEFAULT_DB_ALIAS
from django.db.models import Model
from django.db.models.signals import ModelSignal

from heliograph.catalogue import entry_of, title
from heliograph.testing.listening_receivers import ConnectedTo


def payload_of(connected: ConnectedTo, sender: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the payload of a send with these values. Raises TypeError for a name that is not sent, or is missing."""
    signal, connection = connected
    beyond = connection.options.gives
    sent = {name: value for name, value in given.items() if name not in beyond}
    by_policy = {name: value for name, value in given.items() if name in beyond}
    from_sender = _sender_of(connected, given) if sender is None else sender
    return {"signal": signal, "sender": from_sender, **_verified(signal, usual_values(signal, sent)), **by_policy}


def usual_values(signal: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return values with the usual ones of a signal of a model: an update of one row, of which nothing is left out."""
    entry, instance = entry_of(signal), given.get("instance")
    using = (instance._state.db if isinstance(instance, Model) else None) or DEFAULT_DB_ALIAS
    usual = {"created": False, "update_fields": None, "raw": False, "using": using, "origin": instance}
    carries = () if entry is None else entry.carries
    return {**{name: value for name, value in usual.items() if name in carries}, **given}


def _sender_of(connected: ConnectedTo, given: Mapping[str, Any]) -> Any:
    instance = given.get("instance")
    if isinstance(connected.signal, ModelSignal) and isinstance(instance, Model):
        return instance.__class__
    return connected.connection.sender


def _verified(signal: Any, sent: dict[str, Any]) -> dict[str, Any]:
    """Return the values of a send, with the defaults of its contract."""
    contract = getattr(signal, "_payload", None)
    if contract is not None:
        verified: dict[str, Any] = contract(None, **sent)
        return verified
    entry = entry_of(signal)
    if entry is None:
        return sent
    for name in sent:
        if name not in entry.carries:
            raise TypeError(f"{title(signal)} does not send {name!r}. It sends {', '.join(entry.carries)}.")
    missing = [name for name in entry.carries if name not in sent]
    if missing:
        raise TypeError(f"{title(signal)} sends {', '.join(map(repr, missing))} too: give a value.")
    return sent
