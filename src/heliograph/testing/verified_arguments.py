"""Verification of what a test gives to a verb, so that a mistake is an error, and no assertion that holds by chance."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from typing import Any, get_args

from django.apps import apps
from django.core.exceptions import FieldDoesNotExist
from django.db.models.base import ModelBase

from heliograph.catalogue import facts_of, title
from heliograph.dispatch.names import is_signal
from heliograph.flow.effects.seen_effects import EffectKind

# pytest and unittest leave this module out of the traceback of a failed assertion.
__tracebackhide__ = __unittest = True


def verify_signal(signal: Any) -> None:
    """Raise TypeError for anything but a signal."""
    if not is_signal(signal):
        raise TypeError(f"An assertion about sends takes a signal that Heliograph runs, not {signal!r}.")


def verify_receiver(receiver: Any, verb: str) -> None:
    """Raise TypeError for what nobody can call, such as the name of a receiver, or a signal."""
    if not callable(receiver):
        hint = " Import it." if isinstance(receiver, str) else ""
        raise TypeError(f"{verb} takes the function that is connected, not {receiver!r}.{hint}")


def verify_names(signal: Any, names: Collection[str]) -> None:
    """Raise TypeError for a name that a signal never sends, so that no send could have it."""
    _, carries, is_exact = facts_of(signal)
    if carries is None or not is_exact:
        return
    for name in names:
        if name not in carries:
            raise TypeError(f"{title(signal)} does not send {name!r}. It sends {', '.join(carries)}.")


def verify_times(times: Any) -> None:
    """Raise TypeError or ValueError for what is no number of times above zero."""
    if times is None:
        return
    if type(times) is not int:
        raise TypeError(f"times= takes a whole number, or None for once at least, not {times!r}.")
    if times < 1:
        raise ValueError(f"times={times!r} asserts that nothing happens: take the assertion with `not` in its name.")


def verify_time(name: str, time: Any) -> None:
    """Raise TypeError for anything but a timedelta, and ValueError for a time that goes backwards."""
    if not isinstance(time, timedelta):
        raise TypeError(f"{name}= takes a timedelta, not {time!r}: write timedelta(seconds=...).")
    if time < timedelta():
        raise ValueError(f"{name}= takes a timedelta of nothing or more, not {time!r}.")


def verify_path(function: Any, verb: str) -> None:
    """Raise TypeError for what is no function: mostly the result of one that was called too early."""
    if not callable(function):
        raise TypeError(
            f"{verb} takes a function, which it calls without arguments, not {function!r}: write lambda: ..."
        )


def verify_changes(changes: Any) -> None:
    """Raise TypeError unless `changes` has pairs by names."""
    try:
        pairs = {**changes}.values()
        for pair in pairs:
            _, _ = pair
            if isinstance(pair, str):
                raise TypeError
    except (TypeError, ValueError):
        raise TypeError(
            f"changes= takes the old and the new value by the name of the field, such as {{'status': ('new', 'paid')}},"
            f" not {changes!r}."
        ) from None


def verify_allowed(allowed: Any) -> None:
    """Raise TypeError for what is no list, and ValueError for a kind of effects that there is not."""
    kinds = get_args(EffectKind)
    if isinstance(allowed, str) or not isinstance(allowed, Collection):
        raise TypeError(f"allowed= takes a list of receivers and of kinds of effects, not {allowed!r}.")
    for one in allowed:
        if not callable(one) and one not in kinds:
            known = ", ".join(map(repr, kinds))
            raise ValueError(
                f"allowed= has {one!r}, which is neither a receiver nor a kind of effects. Kinds: {known}."
            )


def verify_ignored(ignoring: Any) -> None:
    """Raise TypeError for what is no list, and LookupError for a field that there is not."""
    if isinstance(ignoring, str) or not isinstance(ignoring, Collection):
        raise TypeError(f"ignoring= takes a list of models, fields and receivers, not {ignoring!r}.")
    for one in ignoring:
        if isinstance(one, str):
            _verify_label(one)
        elif not isinstance(one, ModelBase) and not callable(one):
            raise TypeError(
                f"ignoring= has {one!r}, which is no model, no field such as 'shop.Order.seen_at', and no receiver."
            )


def _verify_label(label: str) -> None:
    model, _, field = label.rpartition(".")
    try:
        apps.get_model(model)._meta.get_field(field)
    except (LookupError, ValueError, FieldDoesNotExist):
        raise LookupError(
            f"ignoring= has {label!r}, and there is no such field: write 'shop.Order.seen_at', or give the model."
        ) from None


def verify_aliases(aliases: Collection[str]) -> None:
    """Raise ValueError for no database."""
    if not aliases:
        raise ValueError("using= takes the alias of a database, or several, and there is none in it.")
