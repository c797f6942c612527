"""What a receiver is checked for where it is connected, and what the errors say."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Collection
from types import FunctionType, MethodType
from typing import Any

from heliograph.dispatch.describe import describe

# What sys.getrefcount() says of an object tells whether somebody beside the call refers to it: on CPython with the
# GIL, up to 3.13. Later versions borrow references, and a free-threaded one counts those of functions lazily.
COUNTS_REFERENCES = (
    sys.implementation.name == "cpython"
    and sys.version_info < (3, 14)
    and (not hasattr(sys, "_is_gil_enabled") or sys._is_gil_enabled())
)


def verify_receiver(receiver: Any) -> None:
    """Raise TypeError for a receiver that cannot be called, ValueError for one that takes no **kwargs."""
    if type(receiver) is FunctionType and receiver.__code__.co_flags & inspect.CO_VARKEYWORDS:
        return
    if not callable(receiver):
        raise TypeError(f"Signal receivers must be callable. {receiver!r} is not: connect a function or a method.")
    parameters = parameters_of(receiver)
    if parameters is not None and not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        raise ValueError(
            "Signal receivers must accept keyword arguments (**kwargs)."
            f" {describe(receiver)} does not: add **kwargs to its parameters."
        )


def verify_payload(receiver: Any, contract: inspect.Signature, given: Collection[str], signal: str) -> None:
    """Raise TypeError for a receiver that needs a name which neither the signal nor its policy gives."""
    for name in needed(receiver):
        if name not in {"signal", *contract.parameters, *given}:
            raise TypeError(
                f"{describe(receiver)} asks for {name!r}, which {signal} never sends;"
                f" it sends {', '.join(contract.parameters)}."
                " Rename the parameter, give it a default, or add the name to the signal."
            )


def needed(receiver: Any) -> list[str]:
    """Return the names that a receiver cannot be called without."""
    return [parameter.name for parameter in parameters_of(receiver) or () if _is_needed(parameter)]


def refuse_fleeting(receiver: Any) -> None:
    """Raise ValueError for a receiver that would be collected as soon as it is connected.

    To be called by the very function that the receiver was passed to.
    """
    if COUNTS_REFERENCES and sys.getrefcount(receiver) <= _UNHELD and _owner_is_unheld(receiver):
        raise ValueError(
            f"{describe(receiver)} would be collected at once: nothing but this call refers to it, and a signal refers"
            " to its receivers weakly. Define it at module level, keep a reference to it, or pass weak=False."
        )


# The parameter of the caller, that of refuse_fleeting(), and that of getrefcount().
_UNHELD = 3


def _owner_is_unheld(receiver: Any) -> bool:
    """Return whether nothing but this receiver refers to the owner of the method that it is, if it is one."""
    if not isinstance(receiver, MethodType):
        return True
    return sys.getrefcount(receiver.__self__) <= 2  # the method, and the parameter of getrefcount()


def _is_needed(parameter: inspect.Parameter) -> bool:
    named = parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    return named and parameter.default is parameter.empty


def parameters_of(receiver: Any) -> list[inspect.Parameter] | None:
    """Return the parameters that a caller sees, or None for a callable in C that does not tell."""
    try:
        return list(inspect.signature(receiver).parameters.values())
    except (TypeError, ValueError):
        return None
