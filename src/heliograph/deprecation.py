"""Keeps an old public name working for a while, and warns whoever still uses it of the new one."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any


class HeliographDeprecationWarning(DeprecationWarning):
    """Code uses an old name, which a later version of Heliograph no longer has.

    The message has the new name, and the version that removes the old one. The code works until then.
    """


@dataclass(frozen=True)
class MovedNames:
    """The old names of a module, and where each of them is now; called with an old name, it returns the object.

    Python shows a warning once for each line that causes it. So nothing is kept in the module: Python would then find
    the old name without a call, and the next line that uses it would cause no warning.
    """

    module: str
    names: Mapping[str, str]
    removed_in: str

    def __call__(self, name: str) -> Any:
        if name not in self.names:
            raise AttributeError(f"module {self.module!r} has no attribute {name!r}", name=name)
        home, _, attribute = self.names[name].rpartition(".")
        value = getattr(import_module(home), attribute)
        # The frame above this one reads the old name: `from module import name` has no frame of its own in between.
        warnings.warn(self.reason(name), HeliographDeprecationWarning, stacklevel=2)
        return value

    def reason(self, name: str) -> str:
        """Say what has moved, where to, and how long the old name works."""
        return (
            f"{self.module}.{name} is now {self.names[name]}. Use that: "
            f"Heliograph {self.removed_in} removes the old name."
        )


def moved(module: str, names: Mapping[str, str], *, removed_in: str) -> Callable[[str], Any]:
    """Return the `__getattr__` of a module whose names were moved or renamed.

    For a module that stays only as an address:

        if TYPE_CHECKING:  # for type checkers, which cannot follow what is below
            from heliograph.outbox.work.runner import drain as drain

        __getattr__ = moved(__name__, {"drain": "heliograph.outbox.drain"}, removed_in="1.0")
    """
    return MovedNames(module, dict(names), removed_in)
