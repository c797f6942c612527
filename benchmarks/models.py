"""Model(...) and Model.from_db: what the two sends in them cost."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks import pristine
from benchmarks.facts import DJANGO, FLOOR, HELIOGRAPH, Candidate, Column, Group, above_floor
from benchmarks.receivers import functions
from benchmarks.timing import Call, repeated

NOBODY, ANOTHER, OWN = "no receiver", "one of another model", "one of this model"
CREATED, LOADED = "Model(...)", "from_db"
ROUNDS = 500

VALUES = {"id": 1, "number": "A-1", "status": "new", "email": "a@example.com", "total": 5, "weight": 3, "note": ""}


@dataclass(frozen=True, slots=True)
class Variant:
    """A model in one of three makes, and its own post_init, if it sends one."""

    name: str
    model: Any
    post_init: Any = None


def groups() -> Iterator[Group]:
    """Yield the groups of this file."""
    yield Group(
        "models",
        "Instances of models",
        "A model of seven fields, made by `Model(...)` with three of them and by `from_db` with all: with the sends of"
        " `pre_init` and `post_init` taken out of `Model.__init__`, as Django ships it, and adopted. The receiver is"
        " one of `post_init`. The target is for the cost above the first row.",
        tuple(
            Column(_column(make, who), partial(_candidates, make, who))
            for who in (NOBODY, ANOTHER, OWN)
            for make in (CREATED, LOADED)
        ),
        (
            *(above_floor(_column(make, who), 0.6) for who in (NOBODY, ANOTHER) for make in (CREATED, LOADED)),
            *(above_floor(_column(make, OWN), 0.45) for make in (CREATED, LOADED)),
        ),
        processes=4,
    )


def _column(make: str, who: str) -> str:
    return f"{make}, {who}"


def _candidates(make: str, who: str) -> list[Candidate]:
    calls: dict[str, Callable[[Any], Call]] = {CREATED: _creating, LOADED: _loading}
    return [
        repeated(variant.name, calls[make](variant.model), ROUNDS, keeps=_connected(variant, who))
        for variant in _variants()
    ]


def _connected(variant: Variant, who: str) -> list[Any]:
    """Return the receivers that the variant has from now on."""
    receivers = functions(0 if who == NOBODY or variant.post_init is None else 1)
    if variant.post_init is not None:
        variant.post_init.receivers = []
    for receiver in receivers:
        variant.post_init.connect(receiver, sender=variant.model if who == OWN else _another())
    return receivers


def _creating(model: Any) -> Call:
    return lambda: model(number="A-1", status="new", total=5)


def _loading(model: Any) -> Call:
    names, values = list(VALUES), list(VALUES.values())
    return lambda: model.from_db("default", names, values)


# --- the three makes ------------------------------------------------------------------------------------------


@cache
def _variants() -> list[Variant]:
    from django.db.models import base, signals

    shipped = pristine.model_signals()
    own_names = {**vars(base), "pre_init": shipped.pre_init, "post_init": shipped.post_init}
    return [
        Variant(FLOOR, _model("Floor", __init__=_rebuilt(_without_sends(_source()), dict(vars(base))))),
        Variant(DJANGO, _model("Shipped", __init__=_rebuilt(_source(), own_names)), shipped.post_init),
        Variant(HELIOGRAPH, _model("Adopted"), signals.post_init),
    ]


@cache
def _another() -> Any:
    return _model("Another")


def _model(name: str, **extra: Any) -> Any:
    from django.db import models

    fields: dict[str, models.Field[Any, Any]] = {
        "number": models.CharField(max_length=20),
        "status": models.CharField(max_length=20, default="new"),
        "email": models.EmailField(),
        "total": models.IntegerField(default=0),
        "weight": models.IntegerField(default=0),
        "note": models.TextField(blank=True),
    }
    meta = type("Meta", (), {"app_label": "benchmarks"})
    return type(name, (models.Model,), {"__module__": __name__, "Meta": meta, **fields, **extra})


def _source() -> ast.FunctionDef:
    """Return Model.__init__ as it is written, whatever is in its place now."""
    found = find_spec("django.db.models.base")
    assert found is not None
    assert found.origin is not None
    module = ast.parse(Path(found.origin).read_text())
    model = next(node for node in module.body if isinstance(node, ast.ClassDef) and node.name == "Model")
    return next(node for node in model.body if isinstance(node, ast.FunctionDef) and node.name == "__init__")


def _without_sends(function: ast.FunctionDef) -> ast.FunctionDef:
    """Take the sends out."""
    kept = [statement for statement in function.body if "_init.send(" not in ast.unparse(statement)]
    assert len(kept) == len(function.body) - 2, "Model.__init__ does not send pre_init and post_init any more"
    function.body = kept
    return function


def _rebuilt(function: ast.FunctionDef, names: dict[str, Any]) -> Any:
    """Return the function compiled, with these as its module's names."""
    make: Any = ast.parse("def make(__class__):\n    pass\n    return __init__")
    make.body[0].body[0] = function
    exec(compile(ast.fix_missing_locations(make), "models/base.py", "exec"), names)
    from django.db.models import Model

    return names["make"](Model)
