"""Classes by their paths, as deliveries refer to them: a path imports nothing, and is the only one of its class."""

from __future__ import annotations

import datetime
import sys
from decimal import Decimal
from enum import Enum
from uuid import UUID

# The classes of values. Other classes of Python's library can do things, such as start a process.
_OF_VALUES = frozenset(
    (
        *(bool, int, float, complex, str, bytes, list, tuple, dict, set, frozenset, type(None), Decimal, UUID),
        *(datetime.date, datetime.datetime, datetime.time, datetime.timedelta),
    )
)


def path_of(kind: type) -> str:
    """Return the path of a class, by which another process knows it: its module and its name."""
    return f"{kind.__module__}:{kind.__qualname__}"


def may_travel(kind: type) -> bool:
    """Return whether a delivery may refer to a class; of the classes in Python's library, to enums and values only."""
    package = kind.__module__.partition(".")[0]
    return kind in _OF_VALUES or package not in sys.stdlib_module_names or issubclass(kind, Enum)


def loaded_class(path: str) -> type:
    """Return the class with this path, if its module is imported already; LookupError if there is none."""
    module, _, name = path.partition(":")
    if module not in sys.modules:
        raise LookupError(f"the module {module} is not imported here")
    # Not by getattr(): a module may load an attribute when it is first used.
    scope = object.__getattribute__(sys.modules[module], "__dict__")
    for part in name.split("."):
        found = scope.get(part)
        if not issubclass(type(found), type):
            raise LookupError(f"there is no class {path}")
        scope = type.__getattribute__(found, "__dict__")
    if path_of(found) != path:
        raise LookupError(f"{path} is another name of {path_of(found)}")
    return found  # type: ignore[no-any-return]  # a class, as the loop has seen
