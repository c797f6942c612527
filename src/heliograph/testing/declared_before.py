"""Declarations as they were before a block: calls of recipes, of `audit()` and of `context.declare()`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from heliograph.audit.audited_models import AUDITED, PROBLEMS
from heliograph.context.declared import DECLARED
from heliograph.dispatch.options import Options
from heliograph.receivers.facts import DeclaredBy

if TYPE_CHECKING:
    from heliograph.recipes.declarations import Declaration


class DeclaredBefore:
    """The declarations that there were when a block began."""

    def __init__(self) -> None:
        self._of_recipes = [*_all_of_recipes()]
        self._of_audit = {**AUDITED}, PROBLEMS[:]
        self._of_contexts = {**DECLARED}

    def disconnect_newer(self) -> None:
        """Disconnect the recipes that the block has declared."""
        for one in [*_all_of_recipes()]:
            if one not in self._of_recipes:
                one.disconnect()

    def connects_again(self, options: Options) -> bool:
        """Return whether a receiver with these options is of a recipe that the block has disconnected."""
        fact = options.find(DeclaredBy)
        return fact is not None and any(one.has_connected(fact) for one in self._disconnected())

    def restore(self) -> None:
        """Connect the recipes that the block has disconnected, and restore the other declarations.

        The receivers of the audit log need nothing more than their connections.
        """
        disconnected, _all_of_recipes()[:] = self._disconnected(), self._of_recipes
        for one in disconnected:
            one.again()
        audited, PROBLEMS[:] = self._of_audit
        _restore(AUDITED, audited)
        _restore(DECLARED, self._of_contexts)

    def _disconnected(self) -> list[Declaration]:
        there = _all_of_recipes()
        return [one for one in self._of_recipes if one not in there]


def _restore(mapping: dict[Any, Any], before: dict[Any, Any]) -> None:
    mapping.clear()
    mapping.update(before)


def _all_of_recipes() -> list[Declaration]:
    """Return the list that has all declarations of recipes; to import the recipes takes long, if nobody has so far."""
    module = sys.modules.get("heliograph.recipes.declarations")
    return [] if module is None else module.declarations
