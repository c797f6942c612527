"""Declarations: all calls of recipes, with the file and line where each stands, and what each has connected."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from functools import partial, wraps
from types import FunctionType
from typing import Any

from django.apps import apps
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.exceptions import FieldDoesNotExist
from django.db.models import Model
from django.db.models.base import ModelBase

from heliograph import receiver, when_models_are_loaded
from heliograph.building import DeclaredBy
from heliograph.callers import line_of_caller
from heliograph.recipes.sampling import warnings_of
from heliograph.recipes.subjects import Subject

_REFUSALS = (TypeError, ValueError, LookupError, FieldDoesNotExist)


def _nothing() -> None:
    """Do nothing for a declaration that is not connected yet."""


@dataclass(eq=False)
class Declaration:
    """The handle that a recipe returns: one call of the recipe, and what it has connected.

    `text` is the declaration as it was written, and `line` its file and line. `problem` is the error of a declaration
    that was refused when models were loaded, or None.
    """

    text: str  # as it was written
    line: str  # file and line
    subjects: tuple[Subject, ...] = ()  # what `manage.py recipes verify` compares
    problem: Exception | None = None  # why it is refused, if it was declared before models were loaded
    undo: list[Callable[[], Any]] = field(default_factory=list)
    claims: set[Hashable] = field(default_factory=set)  # what no other declaration of the recipe may have
    again: Callable[[], None] = _nothing  # connects the declaration again after it was disconnected

    def __repr__(self) -> str:
        return f"<{self.text} at {self.line}>"

    @property
    def recipe(self) -> str:
        """The name of the recipe, such as "stamp"."""
        return self.text.partition("(")[0]

    def connect(self, signal: Any, function: Callable[..., Any], **options: Any) -> None:
        """Connect a receiver, with the options of `heliograph.receiver`, until the declaration is disconnected."""
        facts = (*options.get("facts", ()), DeclaredBy(self.text, self.line, self._kept))
        receiver(signal, **{"weak": False, **options, "facts": facts})(function)
        where = {name: options[name] for name in ("sender", "dispatch_uid", "subclasses") if name in options}
        for one in signal if isinstance(signal, list | tuple) else [signal]:
            self.undone_by(one.disconnect, function, **where)

    def _kept(self) -> list[str]:
        return [one.label for one in self.subjects]

    def has_connected(self, fact: DeclaredBy) -> bool:
        """Return whether it is this declaration that has connected a receiver with this fact."""
        return fact.writes == self._kept

    def claim(self, thing: Hashable, problem: str, remedy: str) -> None:
        """Let no other declaration of the recipe have the same thing, such as a field, while this one is connected.

        Raises TypeError with the problem, the line of the declaration that has it, and the remedy.
        """
        for one in declarations:
            if thing in one.claims and one.recipe == self.recipe:
                raise TypeError(f"{self.text}: {problem}, at {one.line}. {remedy}")
        self.claims.add(thing)

    def undone_by(self, undo: Callable[..., Any], *args: Any, **options: Any) -> None:
        """Remember a call that undoes something; the last one is undone first."""
        self.undo.append(partial(undo, *args, **options))

    def disconnect(self) -> bool:
        """Undo all that the declaration has connected, and return whether it was connected until now."""
        if self not in declarations:
            return False
        declarations.remove(self)
        self._undo_all()
        return True

    def _undo_all(self) -> None:
        self.subjects = ()
        self.claims.clear()
        while self.undo:
            self.undo.pop()()


declarations: list[Declaration] = []


def declare(text: str, connect: Callable[..., None], *models: type[Model] | str) -> Declaration:
    """Return a new declaration about models, which may be named "app.Model", and connect it once models are loaded.

    `connect(declaration, *models)` gets the models as classes. It connects receivers and sets `declaration.subjects`;
    or it raises an error that says what to do: TypeError, ValueError, LookupError or FieldDoesNotExist. If models are
    loaded already, the error is raised where the declaration stands, or else a system check reports it.
    """
    declaration = Declaration(text, line_of_caller())
    for model in models:
        _verify_model(model, declaration.recipe)
    register(check_declarations)
    register(check_rows, Tags.database)
    declarations.append(declaration)
    declaration.again = partial(_connect, declaration, connect, models, raises=False)
    when_models_are_loaded(partial(_connect, declaration, connect, models, raises=apps.models_ready))
    return declaration


def _verify_model(model: Any, recipe: str) -> None:
    if isinstance(model, str):
        return
    if not _is_model(model):
        raise TypeError(f"{recipe}() takes a model, or its name, such as {recipe}('blog.Post', ...), not {model!r}.")
    if model._meta.abstract or model._meta.swapped:
        raise TypeError(f"{recipe}() takes a model with a table, and {model._meta.label} is abstract or swapped.")


def _connect(declaration: Declaration, connect: Callable[..., None], models: tuple[Any, ...], *, raises: bool) -> None:
    if declaration not in declarations:  # disconnected before models were loaded
        return
    try:
        connect(declaration, *(apps.get_model(one) if isinstance(one, str) else one for one in models))
    except Exception as error:
        declaration._undo_all()
        if raises or not isinstance(error, _REFUSALS):
            declarations.remove(declaration)
            raise
        declaration.problem = error


def check_declarations(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Return an error for each declaration that was refused once models were loaded."""
    return [
        Error(str(one.problem), hint=f"It is declared at {one.line}.", obj=one.text, id="heliograph.E201")
        for one in declarations
        if one.problem is not None
    ]


def check_rows(app_configs: Any, databases: Sequence[str] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """Return a warning for each subject that has wrong rows, such as rows that are older than the declaration."""
    return [*warnings_of([subject for one in declarations for subject in one.subjects], databases or ())]


def named(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a receiver that calls a function, and that lists and traces show by this name."""

    @wraps(function)
    def receiver(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    receiver.__qualname__ = name
    if isinstance(function, partial):  # which has no module of its own
        receiver.__module__ = function.func.__module__
    return receiver


# --- how a declaration reads --------------------------------------------------------------------------------------


def written(recipe: str, *args: Any, **options: Any) -> str:
    """Return a declaration as it was written, with its models by their labels."""
    named = (f"{name}={_shown(value)}" for name, value in options.items())
    return f"{recipe}({', '.join([*map(_shown, args), *named])})"


def _shown(value: Any) -> str:
    if isinstance(value, FunctionType):
        return value.__qualname__
    return str(value._meta.label) if _is_model(value) else repr(value)


def _is_model(value: Any) -> bool:
    return isinstance(value, ModelBase) and value is not Model
