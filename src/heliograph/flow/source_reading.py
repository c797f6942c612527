"""Reading the source of a receiver: the functions that it calls, by their dotted names, and where."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from heliograph.dispatch.describe import origin


@dataclass(frozen=True)
class SourceCall:
    """A call in the source of a function."""

    name: str  # dotted, as far as it is known: "django.core.mail.send_mail", "instance.save"
    file: str
    line: int
    is_certain: bool  # whether each call of the function makes it, unless something raises


@dataclass(frozen=True)
class Source:
    """The parsed source of a function."""

    function: Any
    node: ast.FunctionDef | ast.AsyncFunctionDef
    first_line: int

    def calls(self) -> Iterator[SourceCall]:
        """Yield the calls that the function itself makes, in their order."""
        names, file = _names_of(self.node, self.function), self.function.__code__.co_filename
        reading = _Reading()
        for call, is_certain in reading.calls_in(self.node.body):
            name = _dotted(call.func, names)
            if name is not None:
                yield SourceCall(name, file, self.first_line + call.lineno - 1, is_certain)


def source_of(receiver: Any) -> Source | None:
    """Return the source of a receiver, or None where it cannot be read: it was typed in, or is a lambda, or is in C."""
    function = origin(receiver)
    try:
        lines, first = inspect.getsourcelines(function)
        tree = ast.parse(textwrap.dedent("".join(lines)))
    except (OSError, TypeError, SyntaxError):
        return None
    node = tree.body[0] if tree.body else None
    return Source(function, node, first) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else None


# --- calls ----------------------------------------------------------------------------------------------------------

# Code inside one of these nodes is called later, elsewhere, or by nobody.
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)
_MAYBE = (ast.If, ast.IfExp, ast.BoolOp, ast.While, ast.For, ast.AsyncFor, ast.Match, ast.Try, ast.TryStar)


class _Reading:
    """Finds calls in the order of their lines, and knows whether the function may have returned before."""

    def __init__(self) -> None:
        self.may_have_returned = False

    def calls_in(self, nodes: list[Any], is_certain: bool = True) -> Iterator[tuple[ast.Call, bool]]:
        """Yield the calls in nodes, each with whether it is made in any case."""
        for node in nodes:
            if isinstance(node, _FUNCTIONS):
                continue
            yield from self.calls_in([*ast.iter_child_nodes(node)], is_certain and not isinstance(node, _MAYBE))
            if isinstance(node, ast.Call):
                yield node, is_certain and not self.may_have_returned
            self.may_have_returned |= isinstance(node, ast.Return | ast.Raise)


# --- names ----------------------------------------------------------------------------------------------------------


def _names_of(node: ast.AST, function: Any) -> dict[str, str]:
    """Return the dotted names that the names in a function stand for: of imports, and of the results of calls."""
    names = {name: path for name, value in function.__globals__.items() if (path := _path_of(value))}
    for one in ast.walk(node):
        match one:
            case ast.Import(names=found):
                names |= {alias.asname or alias.name: alias.name for alias in found}
            case ast.ImportFrom(module=str(module), names=found):
                names |= {alias.asname or alias.name: f"{module}.{alias.name}" for alias in found}
    return {**names, **_assigned(node, names)}


def _path_of(value: Any) -> str | None:
    if isinstance(value, ModuleType):
        return value.__name__
    if isinstance(value, type) or inspect.isroutine(value):
        return f"{getattr(value, '__module__', None)}.{getattr(value, '__qualname__', '')}"
    return None


def _assigned(node: ast.AST, names: dict[str, str]) -> dict[str, str]:
    """Return the names to which a call is assigned: of `mail = EmailMessage(...)`, the name of the class."""
    found: dict[str, str] = {}
    for one in ast.walk(node):
        match one:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call(func=func)):
                found[name] = _dotted(func, names) or name
            case ast.withitem(context_expr=ast.Call(func=func), optional_vars=ast.Name(id=name)):
                found[name] = _dotted(func, names) or name
    return found


def _dotted(node: ast.AST, names: dict[str, str]) -> str | None:
    """Return the dotted name of an expression: of `EmailMessage(...).send`, the class and the method."""
    match node:
        case ast.Name(id=name):
            return names.get(name, name)
        case ast.Attribute(value=value, attr=attribute):
            owner = _dotted(value, names)
            return f"{owner or '?'}.{attribute}"
        case ast.Call(func=func):
            return _dotted(func, names)
        case ast.Subscript(value=ast.Name(id="kwargs"), slice=ast.Constant(value=str(key))):
            return key
    return None
