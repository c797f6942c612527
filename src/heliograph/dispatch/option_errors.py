"""Errors about options: for an option that does not exist, and for an option with a wrong value."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from difflib import get_close_matches
from functools import wraps
from typing import Any, TypedDict, TypeVar

from heliograph.dispatch.describe import describe

T = TypeVar("T", bound=Callable[..., Any])


class NoOptions(TypedDict):
    """No keywords: a function whose `**options` have this type takes none, and type checkers refuse each."""


# How each option is written, for errors: people put the right option into the wrong call. Text only, so that the
# dispatcher can name the options of the packages above it without importing them.
_WRITTEN = {
    "@receiver(signal, {name}=...)": (
        "sender weak dispatch_uid order subclasses when delivery reentrant blocking apps using fetch writes keeps bulk"
        " facts"
    ),
    "delivery=OnCommit({name}=True)": "batch",
    "delivery=BeforeCommit({name}=True)": "last",
    "delivery=Durable({name}=...)": "queue retry key atomic backend missing aliases warn_after give_up_after",
    "delivery=Durable(retry=Retry({name}=...))": "attempts backoff jitter on give_up_on",
    "Retry(backoff=exponential({name}=...))": "first factor most",
    "when=changed('status', {name}=...)": "was to",
    "when={name}": "created raw",
    "when={name}('status')": "changed update_fields",
    "when={name}(status=...)": "has",
    "when={name}('post_add')": "action",
}
_HOMES = {name: how.format(name=name) for how, names in _WRITTEN.items() for name in names.split()}

# The names that other packages have for each option, which a user may write by habit.
_MEANT = {
    "sender": "senders model models source",
    "when": "condition conditions filter predicate only_if",
    "order": "priority position",
    "dispatch_uid": "uid id identifier",
    "delivery": "policy deliver",
    "using": "database databases db alias",
    "subclasses": "inherit children include_subclasses",
    "batch": "batched",
    "attempts": "retries tries max_attempts max_retries max_tries",
    "backoff": "delay wait countdown retry_backoff",
    "on": "autoretry_for retry_on",
    "give_up_on": "exclude dont_autoretry_for",
    "missing": "on_missing",
    "was": "old old_value from_value previous before",
    "to": "new new_value value current after",
}
_OPTION_MEANT = {other: option for option, others in _MEANT.items() for other in others.split()}


def unknown_option(call: str, name: str, known: Collection[str], receiver: Any = None) -> TypeError:
    """Return the error for a name that a call does not take; it begins with the receiver, if given.

    `call` is the call as the error shows it, such as "receiver()".
    """
    whose = "" if receiver is None else f"{describe(receiver)}: "
    listed = ", ".join(known) or "none"
    return TypeError(f"{whose}{call} has no option {name!r}. {_hint(name, known)}It takes {listed}.")


def _hint(name: str, known: Collection[str]) -> str:
    """Return a sentence that names the option that was probably meant, of this call or of another one."""
    meant = _OPTION_MEANT.get(name, name)
    if meant in known:
        return f"Did you mean {meant!r}? "
    if meant in _HOMES:
        return f"Write {_HOMES[meant]} instead. "
    for close in get_close_matches(name, known, n=1):
        return f"Did you mean {close!r}? "
    for close in get_close_matches(name, _HOMES, n=1, cutoff=0.75):
        return f"Did you mean {_HOMES[close]}? "
    return ""


def named_options(thing: T) -> T:
    """Give a function, or the constructor of a class, an error for wrong arguments that says what it takes.

    Python's own error names neither the options that exist nor the option that was probably meant. Type checkers see
    the function or class as it is written.
    """
    if isinstance(thing, type):
        # The type of a class and of a function stays what it was, which mypy cannot see.
        thing.__init__ = _refusing(thing.__init__, thing, f"{thing.__name__}()")  # type: ignore[misc]
        return thing
    return _refusing(thing, thing, f"{thing.__name__}()")  # type: ignore[return-value]


def _refusing(function: Callable[..., Any], shown: Callable[..., Any], call: str) -> Callable[..., Any]:
    signature = inspect.signature(shown)
    parameters = signature.parameters.values()
    known = [str(one).partition(":")[0].partition("=")[0] for one in parameters if one.kind is not one.VAR_KEYWORD]
    takes_any = any(one.kind is one.VAR_KEYWORD for one in parameters)
    skipped = 1 if isinstance(shown, type) else 0  # self

    @wraps(function)
    def verified(*args: Any, **options: Any) -> Any:
        unknown = () if takes_any else [name for name in options if name not in known]
        if unknown:
            raise unknown_option(call, unknown[0], known)
        try:
            signature.bind(*args[skipped:], **options)
        except TypeError as error:
            raise TypeError(f"{call} cannot be called so: {error}. It takes {_written(signature)}.") from None
        return function(*args, **options)

    return verified


def _written(signature: inspect.Signature) -> str:
    """Return parameters as they are written in a call, without types and defaults."""
    return ", ".join(map(_parameter, signature.parameters.values()))


def _parameter(parameter: inspect.Parameter) -> str:
    if parameter.kind is parameter.VAR_KEYWORD:
        return "options by their names, such as sender=Order"
    return f"{parameter.name}=..." if parameter.kind is parameter.KEYWORD_ONLY else parameter.name


# --- values -----------------------------------------------------------------------------------------------------


def _is_flag(value: object) -> bool:
    return isinstance(value, bool)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


# Each option with its default, a test of other values, and a description of the values that it takes. Django takes any
# value for weak, and other packages may pass 0 or None; a string is always a mistake.
_KINDS: Mapping[str, tuple[Any, Callable[[Any], bool], str]] = {
    "weak": (True, lambda value: value is None or isinstance(value, int), "True or False"),
    "dispatch_uid": (None, lambda value: _has_hash(value), "a value with a hash, such as a text"),
    "order": (0, _is_whole, "a whole number"),
    "subclasses": (False, _is_flag, "True or False"),
    "blocking": (True, _is_flag, "True or False"),
    "call": (None, callable, "a function of the receiver and the payload that returns a Call"),
    "facts": ((), lambda value: isinstance(value, tuple), "a tuple of facts"),
}


def _has_hash(value: Any) -> bool:
    try:
        hash(value)
    except TypeError:  # a tuple with a list in it, say
        return False
    return True


def verify_values(**options: Any) -> None:
    """Raise TypeError for an option with a value that it does not take; other options have rules of their own."""
    for name, value in options.items():
        if name in _KINDS:
            default, is_right, kinds = _KINDS[name]
            if value is not default and not is_right(value):
                raise TypeError(f"{name}= takes {kinds}, not {value!r}.")
