"""The values of a context that a project declares, with the types of JSON."""

from __future__ import annotations

import json
from collections.abc import Collection
from difflib import get_close_matches
from typing import Any

from heliograph.sensitive_names import sensitive_among

_KINDS = (str, int, float, bool, list, dict)

# The names that a project has declared, with the types of their values.
DECLARED: dict[str, type] = {}

# The names that `context(...)` always takes, and the others that a context has.
GIVEN = ("reason", "request_id", "correlation_id", "traceparent")
_OTHERS = ("by", "actor", "command", "parent", "links", "values", "is_open", "pinned")


def declare(name: str, kind: type = str) -> None:
    """Let contexts have a value with this name, of the type `str`, `int`, `float`, `bool`, `list` or `dict`.

    Raises TypeError for another type, and ValueError for a name that is no identifier, is taken, or is secret: the
    setting `SENSITIVE_FIELDS` keeps it from being stored.
    """
    if kind not in _KINDS:
        raise TypeError(
            f"context.declare({name!r}, ...) takes a type that JSON has, {_listed(_KINDS)}, and not {kind!r}."
        )
    if not name.isidentifier() or name.startswith("_"):
        raise ValueError(f"context.declare() takes the name of a keyword argument, such as 'tenant', not {name!r}.")
    if name in GIVEN or name in _OTHERS:
        raise ValueError(f"context.declare({name!r}): every context has a {name!r} already. Take another name.")
    if DECLARED.get(name, kind) is not kind:
        raise ValueError(
            f"context.declare({name!r}, {kind.__name__}): it is declared already, as {DECLARED[name].__name__}."
        )
    if sensitive_among((name,)):
        raise ValueError(
            f"context.declare({name!r}): a context is stored, and HELIOGRAPH['SENSITIVE_FIELDS'] says that this is"
            " never stored. Take another name, or change the setting."
        )
    DECLARED[name] = kind


def verified_value(name: str, value: Any) -> Any:
    """Return a copy of a declared value, which nobody can change; TypeError for a wrong type."""
    kind = DECLARED.get(name)
    if kind is None:
        raise TypeError(unknown(name, "context() has no"))
    # A bool is an int for Python, and not for JSON.
    is_kind = type(value) is kind or (kind not in (bool, int) and isinstance(value, kind))
    if value is not None and not is_kind:
        raise TypeError(f"context({name}=...) is declared as {kind.__name__}, and {value!r} is of another type.")
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise TypeError(f"context({name}=...) takes values that JSON has, not {value!r}: {error}.") from None


def verified_text(name: str, value: Any, by: str = "context") -> str:
    """Return one of the texts that every context has; TypeError for another value."""
    if not isinstance(value, str):
        raise TypeError(f"{by}({name}=...) takes a text, not {value!r}.")
    return value


def not_declared(name: str) -> None:
    """Return None for a declared name; AttributeError for another one."""
    if name not in DECLARED:
        raise AttributeError(unknown(name, "A context has no"))


def unknown(name: str, beginning: str) -> str:
    """Return the text about a name that was not declared."""
    close = get_close_matches(name, [*GIVEN, *DECLARED], n=1)
    advice = f"Did you mean {close[0]!r}?" if close else f"Declare it: context.declare({name!r}, str)."
    return f"{beginning} {name!r}. {advice}"


def _listed(kinds: Collection[type]) -> str:
    return ", ".join(kind.__name__ for kind in kinds)
