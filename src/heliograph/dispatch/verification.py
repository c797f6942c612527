"""Verification: the errors for receivers and conditions that can never be called, raised on connect."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Collection
from difflib import get_close_matches
from types import FunctionType, MethodType
from typing import Any

from heliograph.dispatch.describe import describe, qualified_name

# sys.getrefcount() of an object shows whether somebody beside the call refers to it: on CPython with the GIL, up to
# 3.13. Later versions borrow references, and a free-threaded one counts references to functions lazily.
COUNTS_REFERENCES = (
    sys.implementation.name == "cpython"
    and sys.version_info < (3, 14)
    and (not hasattr(sys, "_is_gil_enabled") or sys._is_gil_enabled())
)
# The references of a call to its receiver: the parameters of the method that the user calls, which calls
# Connector.connect(), and of that and of getrefcount().
UNHELD = 3


def verify_receiver(receiver: Any) -> None:
    """Raise TypeError for a receiver that cannot be called, ValueError for one that takes no **kwargs."""
    if type(receiver) is FunctionType:  # `inspect.signature` is slow
        code = receiver.__code__
        if code.co_flags & inspect.CO_VARKEYWORDS and not code.co_posonlyargcount:
            return
    if receiver is None:
        raise TypeError(
            "connect() takes a receiver first: connect(receiver, sender=...). To decorate, write @receiver."
        )
    if not callable(receiver):
        raise TypeError(f"Signal receivers must be callable. {receiver!r} is not: connect a function or a method.")
    parameters = parameters_of(receiver)
    if parameters is not None and not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        raise ValueError(
            "Signal receivers must accept keyword arguments (**kwargs)."
            f" {describe(receiver)} does not: add **kwargs to its parameters."
        )
    for parameter in parameters or ():
        if parameter.kind is parameter.POSITIONAL_ONLY and parameter.default is parameter.empty:
            raise ValueError(
                f"Signal receivers are called with names only. {describe(receiver)} takes {parameter.name!r} without"
                " one: take the '/' out of its parameters."
            )


def verify_names(receiver: Any, target: Any, given: Collection[str]) -> None:
    """Raise TypeError for a receiver that needs a name which neither the signal nor its policy gives."""
    signal = target.signal
    # The wrapper of a function may add names, so it is not verified, except for a declared signal.
    is_sure = signal._contract is not None or not hasattr(receiver, "__wrapped__")
    if not target.is_exact or not is_sure:
        return
    checked = () if signal._contract is not None else ("batch",)  # the system check heliograph.E003 reports this name
    for name in needed(receiver):
        if name not in {"sender", "signal", *target.carries, *given, *checked}:
            raise TypeError(
                f"{describe(receiver)} asks for {name!r}, which {signal.name} never sends;"
                f" it sends {', '.join(('sender', *target.carries))}. {_advice(receiver, name, target)}"
            )


# Advice for some names that are never sent.
_ADVICE = {
    "self": "Connect it as a method of an instance: post_save.connect(instance.method, ...); or make it a function.",
    "cls": "Connect it as a method of its class: post_save.connect(Class.method, ...); or make it a function.",
    "delivery": "Connect it with delivery=Durable(...), which gives it, or rename the parameter.",
}


def _advice(receiver: Any, name: str, target: Any) -> str:
    if name in _ADVICE:
        return _ADVICE[name]
    close = get_close_matches(name, target.carries, n=1, cutoff=0.8)
    meant = f"Did you mean {close[0]!r}? " if close else ""
    is_ours = " or add the name to the signal" if target.signal._contract is not None else " or take it away"
    return f"{meant}Rename the parameter, give it a default,{is_ours}."


def verify_function(option: str, function: Any) -> None:
    """Raise TypeError or ValueError for a function in an option that cannot be called with the payload of a send."""
    name = describe(function)
    if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
        raise TypeError(f"{option} takes a function that answers at once, and {name} is async or a generator.")
    parameters = parameters_of(function)
    if parameters is None:
        return
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        is_maker = option == "when=" and function.__module__ == "heliograph.conditions"
        advice = f"Call it: when={qualified_name(function)}(...)." if is_maker else "Add them to its parameters."
        raise ValueError(
            f"{option} takes a function with **kwargs, since all that is sent goes to it. {name} has none. {advice}"
        )
    for parameter in parameters:
        if parameter.kind is parameter.POSITIONAL_ONLY and parameter.default is parameter.empty:
            raise ValueError(f"{option}{name} is called with names only: take the '/' out of its parameters.")


def verify_asked(function: Any, target: Any) -> None:
    """Raise TypeError for a function in `when=` that needs a name which a signal never sends."""
    signal = target.signal
    is_sure = hasattr(type(signal), "_connector") and not hasattr(function, "__wrapped__")
    if not target.is_exact or not is_sure:
        return
    for name in needed(function):
        if name not in {"sender", "signal", *target.carries}:
            raise TypeError(
                f"when={describe(function)} asks for {name!r}, which {signal.name} never sends;"
                f" it sends {', '.join(('sender', *target.carries))}. Rename the parameter, or give it a default."
            )


def needed(receiver: Any) -> list[str]:
    """Return the names that a receiver cannot be called without."""
    if type(receiver) is FunctionType and not vars(receiver):
        return _needed_by_code(receiver)
    return [parameter.name for parameter in parameters_of(receiver) or () if _is_needed(parameter)]


def refuse_fleeting(receiver: Any) -> None:
    """Raise ValueError for a receiver that only the call of `connect` refers to: it would be collected after it.

    A method lives as long as its owner.
    """
    if _owner_is_unheld(receiver):
        raise ValueError(
            f"{describe(receiver)} would be collected at once: nothing but this call refers to it, and a signal refers"
            " to its receivers weakly. Define it at module level, keep a reference to it, or pass weak=False."
        )


def _needed_by_code(function: FunctionType) -> list[str]:
    """Return the names that a plain function needs, from its code: `inspect.signature` is slow."""
    code, defaults = function.__code__, function.__kwdefaults__ or {}
    required = code.co_argcount - len(function.__defaults__ or ())
    only_by_name = code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
    return [*code.co_varnames[:required], *(name for name in only_by_name if name not in defaults)]


def _owner_is_unheld(receiver: Any) -> bool:
    """Return whether nothing but this receiver refers to the owner of the method that it is, if it is one."""
    if not isinstance(receiver, MethodType):
        return True
    return sys.getrefcount(receiver.__self__) <= 2  # the method, and the parameter of getrefcount()


def names_of(receiver: Any) -> tuple[list[str], list[str]]:
    """Return the names of all parameters of a receiver, and the names of the required ones."""
    parameters = parameters_of(receiver) or []
    return [one.name for one in parameters], [one.name for one in parameters if _is_needed(one)]


def _is_needed(parameter: inspect.Parameter) -> bool:
    named = parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    return named and parameter.default is parameter.empty


def parameters_of(receiver: Any) -> list[inspect.Parameter] | None:
    """Return the parameters that a caller sees, or None for a callable in C without a signature."""
    try:
        return list(inspect.signature(receiver).parameters.values())
    except (TypeError, ValueError):
        return None
