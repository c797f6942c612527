"""Webhook: what a signal sends becomes an event for the endpoints that want it, in the transaction of the send."""

from __future__ import annotations

import inspect
import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.db import DEFAULT_DB_ALIAS, router
from django.db.models import Model
from django.db.models.signals import ModelSignal
from django.dispatch import Signal as DjangoSignal

from heliograph import Batch, Condition, Inline, Signal, raw
from heliograph.recipes.declarations import Declaration, declare
from heliograph.recipes.webhooks.envelopes import envelope, new_message_id
from heliograph.recipes.webhooks.signals import event_happened
from heliograph.signals import post_delete, post_save

Function = Callable[..., Any]
Sent = Mapping[str, Any]

APP = "heliograph.recipes.webhooks"

_EVENT = re.compile(r"\w+(\.\w+)*", re.ASCII)
_LONGEST = 100  # characters of an event

# The events that the declarations of this process name, by which operators choose.
_events: Counter[str] = Counter()


def known_events() -> list[str]:
    """Return the events that declarations name."""
    return sorted(+_events)


def webhook(
    signal: Any,
    *,
    event: str,
    payload: Function | None = None,
    sender: Any = None,
    when: Condition | None = None,
    owner: Function | None = None,
) -> Declaration:
    """Send what a signal sends to the endpoints that want the event.

        webhook(order_shipped, event="order.shipped", payload=data)
        paid = changed("status", to="paid")
        webhook(post_save, sender=Order, when=paid, event="order.paid", payload=data)

    - `payload`: a function that returns what JSON has. For a signal of your own it is called with the values that it
      names; without it, all that is sent is the data of the event. For rows of a model, also of its subclasses and of
      bulk writes, it is called with the instance. It is called in the transaction of the send, so that the event says
      what was true then.
    - `sender` and `when`: those of `Signal.connect`.
    - `owner`: a function that is called as `payload` is, and returns whose endpoints get the event.

    Fixtures are left alone. Returns a `Declaration`.

    Raises TypeError, with what to do, for what does not fit; if models are not loaded yet, a system check reports it.
    Raises ImproperlyConfigured if the app is not installed.
    """
    about = "" if sender is None else f"sender={_name_of(sender)}, "
    text = f"webhook({_name_of(signal)}, {about}event={event!r})"
    _verify_installed(text)
    _verify_event(text, event)
    if isinstance(signal, ModelSignal):
        _verify_of_rows(text, signal, payload, sender)
        return _declare_of_rows(text, signal, sender, when, Event(text, event, _of_row(payload), _of_row(owner)))
    _verify_of_signal(text, signal, {"payload": payload, "owner": owner})
    found = Event(text, event, _all_sent if payload is None else _by_names(payload), _by_names(owner))
    return _declare_of_signal(text, signal, sender, when, found)


def _declare_of_signal(text: str, signal: Any, sender: Any, when: Condition | None, event: Event) -> Declaration:
    def connect(declaration: Declaration) -> None:
        declaration.connect(signal, OfSignal(event), sender=sender, when=when)
        _count(declaration, event.name)

    return declare(text, connect)


def _declare_of_rows(text: str, signal: Any, sender: Any, when: Condition | None, event: Event) -> Declaration:
    asked = when if signal is post_delete else ~raw if when is None else ~raw & when

    def connect(declaration: Declaration, model: type[Model]) -> None:
        options: Any = {"sender": model, "subclasses": True, "bulk": True}
        declaration.connect(signal, OfRows(event), when=asked, delivery=Inline(batch=True), **options)
        _count(declaration, event.name)

    return declare(text, connect, sender)


def _count(declaration: Declaration, name: str) -> None:
    _events[name] += 1
    declaration.undone_by(_events.subtract, [name])


# --- from a send to an event --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Event:
    """What a declaration makes of a send."""

    text: str  # the declaration
    name: str
    payload: Callable[[Sent], Any]
    owner: Callable[[Sent], Any]

    def send(self, sent: Sent, using: str) -> None:
        """Send the event in the open transaction, with its data as JSON of this instant."""
        owner = self.owner(sent)
        event_happened.send(
            sender=None,
            using=using,
            event=self.name,
            message=new_message_id(),
            owner="" if owner is None else str(owner.pk if isinstance(owner, Model) else owner),
            body=self._body(self.payload(sent)),
        )

    def _body(self, data: Any) -> str:
        try:
            return envelope(self.name, data)
        except (TypeError, ValueError) as error:
            raise TypeError(
                f"{self.text}: what is to be sent is no JSON: {error}. Give payload=, a function that returns a dict"
                " with texts, numbers, dates, decimals and UUIDs."
            ) from error


class OfSignal:
    """The receiver of a project's own signal."""

    def __init__(self, event: Event) -> None:
        self.event = event
        self.__name__ = self.__qualname__ = event.text

    def __call__(self, sender: Any, signal: Any, **sent: Any) -> None:
        """Send the event of this send."""
        self.event.send({"sender": sender, **sent}, _database_of(sender, sent))


class OfRows:
    """The receiver of the rows that a write saves or deletes."""

    def __init__(self, event: Event) -> None:
        self.event = event
        self.__name__ = self.__qualname__ = event.text

    def __call__(self, sender: Any, batch: Batch, using: str, **kwargs: Any) -> None:
        """Send the event of each row."""
        for row in batch.events:
            self.event.send({"instance": row.instance}, using)


def _database_of(sender: Any, sent: Sent) -> str:
    """Return the database that a send is about: the one that it names, or that of an instance, or of its sender."""
    if isinstance(sent.get("using"), str):
        return str(sent["using"])
    for value in sent.values():
        if isinstance(value, Model) and value._state.db:
            return value._state.db
    is_model = isinstance(sender, type) and issubclass(sender, Model)
    return router.db_for_write(sender) if is_model else DEFAULT_DB_ALIAS


# --- what payload= and owner= are called with ---------------------------------------------------------------------


def _of_row(function: Function | None) -> Callable[[Sent], Any]:
    return _nothing if function is None else lambda sent: function(sent["instance"])


def _by_names(function: Function | None) -> Callable[[Sent], Any]:
    if function is None:
        return _nothing
    names = _names_of(function)
    if names is None:
        return lambda sent: function(**sent)
    return lambda sent: function(**{name: sent[name] for name in names if name in sent})


def _nothing(sent: Sent) -> None:
    return None


def _all_sent(sent: Sent) -> dict[str, Any]:
    return {name: value for name, value in sent.items() if name not in ("sender", "using")}


def _names_of(function: Function) -> Collection[str] | None:
    """Return the names of the parameters of a function, or of a send; None if it takes all names."""
    parameters = inspect.signature(function).parameters
    takes_all = any(one.kind is one.VAR_KEYWORD for one in parameters.values())
    return None if takes_all else [*parameters]


# --- what is refused ----------------------------------------------------------------------------------------------


def _name_of(thing: Any) -> str:
    """Return the name of a signal or a model, as a declaration shows it."""
    label = getattr(getattr(thing, "_meta", None), "label", None)
    return str(label or getattr(thing, "name", None) or repr(thing))


def _verify_installed(text: str) -> None:
    if not apps.is_installed(APP):
        raise ImproperlyConfigured(
            f"{text}: there are no tables for endpoints. Add '{APP}' and 'heliograph.outbox' to INSTALLED_APPS, and"
            " migrate; pip install 'heliograph[webhooks]'."
        )


def _verify_event(text: str, event: object) -> None:
    if not isinstance(event, str) or not _EVENT.fullmatch(event) or len(event) > _LONGEST:
        raise TypeError(
            f"{text}: event= is a name such as 'order.shipped', of letters, digits and underscores between dots, up to"
            f" {_LONGEST} of them."
        )


def _verify_of_rows(text: str, signal: Any, payload: object, sender: Any) -> None:
    if signal is not post_save and signal is not post_delete:
        raise TypeError(
            f"{text}: what a row is after the write is known at post_save and post_delete. Take one of these, or a"
            " signal of your own."
        )
    if sender is None:
        raise TypeError(f"{text}: say of which model, by sender=: the rows of this app itself would be sent too.")
    if not callable(payload):
        raise TypeError(f"{text}: say what is sent of a row, by payload=, a function of the instance.")


def _verify_of_signal(text: str, signal: Any, functions: Mapping[str, Any]) -> None:
    if not isinstance(signal, Signal | DjangoSignal):
        raise TypeError(f"{text}: webhook() takes a signal, such as one of yours, post_save or post_delete.")
    sent = _names_of(signal.send)
    for option, function in functions.items():
        if function is None:
            continue
        if not callable(function):
            raise TypeError(f"{text}: {option}= takes a function of what is sent, not {function!r}.")
        unknown = [] if sent is None else sorted({*(_names_of(function) or ())} - {*sent})
        if unknown:
            names = ", ".join(name for name in sent or () if name != "sender")
            raise TypeError(f"{text}: {option}= asks for {unknown[0]!r}, which is not sent. It sends {names}.")
