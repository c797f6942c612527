"""Django's dispatcher as Django ships it: a second copy, out of reach of the adoption."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from types import ModuleType
from typing import Any
from unittest.mock import patch

from django import dispatch


@cache
def dispatcher() -> ModuleType:
    """Return a copy of django.dispatch.dispatcher."""
    return copied("django.dispatch.dispatcher")


@cache
def model_signals() -> ModuleType:
    """Return a copy of django.db.models.signals, with signals of the copied dispatcher."""
    with patch.object(dispatch, "Signal", dispatcher().Signal):
        return copied("django.db.models.signals")


def copied(name: str) -> ModuleType:
    original = find_spec(name)
    assert original is not None
    assert original.origin is not None
    spec: Any = spec_from_file_location(f"pristine.{name}", original.origin)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
