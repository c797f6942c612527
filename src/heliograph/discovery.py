"""Modules of receivers: AUTODISCOVER imports them, and a system check finds the modules that nothing imports."""

from __future__ import annotations

import ast
import sys
import sysconfig
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from django.apps import AppConfig, apps
from django.core.checks import CheckMessage, Warning
from django.utils.module_loading import autodiscover_modules

from heliograph.conf import setting


def autodiscover() -> None:
    """Import the module `receivers` of every installed app, if HELIOGRAPH has AUTODISCOVER on.

    It is off by default, because installing Heliograph must not run modules of other packages that did not run before.
    """
    if setting("AUTODISCOVER"):
        autodiscover_modules("receivers")


def check_modules(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Return a warning for each module `receivers` or `signals` with receivers that no code has imported.

    Apps of installed packages are left out, because the user cannot change which of their modules they import.
    """
    return [_forgotten(config, name) for config in apps.get_app_configs() for name in _not_imported(config)]


def _not_imported(config: AppConfig) -> Iterator[str]:
    if not _is_of_package(config):
        for name, must_connect in (("receivers", False), ("signals", True)):
            if f"{config.name}.{name}" not in sys.modules and _has_receivers(f"{config.name}.{name}", must_connect):
                yield name


def _is_of_package(config: AppConfig) -> bool:
    folders = (Path(sysconfig.get_path(kind)) for kind in ("purelib", "platlib"))
    return any(Path(config.path).is_relative_to(folder) for folder in folders)


def _has_receivers(module: str, must_connect: bool) -> bool:
    """Return whether a module has any code; with `must_connect`, whether it has code that connects a receiver."""
    trees = [ast.parse(path.read_bytes()) for path in _sources(module)]
    if must_connect:
        return any(_is_connecting(node) for tree in trees for node in ast.walk(tree))
    return any(not _is_text(node) for tree in trees for node in tree.body)


def _sources(module: str) -> Iterator[Path]:
    """Yield the source files of a module or a package."""
    spec = find_spec(module)
    for folder in (spec and spec.submodule_search_locations) or ():
        yield from Path(folder).rglob("*.py")
    if spec is not None and spec.submodule_search_locations is None and (spec.origin or "").endswith(".py"):
        yield Path(str(spec.origin))


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _is_connecting(node: ast.AST) -> bool:
    """Return whether a node is the call `receiver(...)`, `something.receiver(...)` or `signal.connect(...)`."""
    if not isinstance(node, ast.Call):
        return False
    function = node.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", None)
    return name == "receiver" or (name == "connect" and isinstance(function, ast.Attribute))


def _forgotten(config: AppConfig, name: str) -> CheckMessage:
    choice = ', or set HELIOGRAPH = {"AUTODISCOVER": True}' if name == "receivers" else ""
    return Warning(
        f"Nothing imports {config.name}.{name}: its receivers are not connected, and never called.",
        hint=f"Write `from {config.name} import {name}` in {type(config).__name__}.ready(){choice}.",
        obj=config.name,
        id="heliograph.W003",
    )
