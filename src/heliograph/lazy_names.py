"""Gives a package public names whose modules are imported when somebody asks for a name."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazy_names(package: str, modules: Mapping[str, str]) -> Callable[[str], Any]:
    """Return the `__getattr__` of a package; `modules` has the module of each public name, relative to the package."""

    def __getattr__(name: str) -> Any:  # noqa: N807 - Python calls it so
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(f"{package}.{modules[name]}"), name)
        setattr(sys.modules[package], name, value)  # Python finds it there the next time
        return value

    return __getattr__
