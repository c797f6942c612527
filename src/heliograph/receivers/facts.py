"""Facts: what the options of a receiver of Django's signals say about it, beyond its condition and its delivery."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from heliograph.changes.current import without_wrapper
from heliograph.changes.tracking import Watch, is_historical
from heliograph.changes.under_way import is_gone
from heliograph.conditions import NetPayload
from heliograph.dispatch.options import Fact, Gate
from heliograph.dispatch.skip_reasons import KeptAway, SkipReason
from heliograph.orm.steps import Hold


@dataclass(frozen=True)
class Databases(Gate):
    """The option `using`: the receiver is for sends about these databases."""

    aliases: tuple[str, ...]

    def admits(self, payload: Mapping[str, Any]) -> bool:
        return payload.get("using") in self.aliases

    def reason(self, payload: Mapping[str, Any]) -> SkipReason:
        return KeptAway(f"using={self.aliases!r}, and the send is about {payload.get('using')!r}")

    def written(self) -> Mapping[str, Any]:
        return {"using": self.aliases[0] if len(self.aliases) == 1 else [*self.aliases]}


class NotHistorical(Gate):
    """The default of `@receiver` for all models: the models that a migration works with are left out."""

    def admits(self, payload: Mapping[str, Any]) -> bool:
        return not is_historical(payload["sender"])

    def reason(self, payload: Mapping[str, Any]) -> SkipReason:
        return KeptAway("the sender is a model of a migration")


@dataclass(frozen=True)
class DeclaredBy(Fact):
    """The fact that a declaration, such as a recipe, has connected the receiver.

    `explain()` shows the receiver by the words of the declaration. `text` is the declaration as it was written, `line`
    its file and line, and `writes` a function that returns the names of the fields that the declaration keeps.
    """

    text: str  # the declaration as it was written
    line: str  # its file and line, or the setting that has it
    writes: Callable[[], Iterable[str]] = tuple  # returns what it keeps, such as "shop.Order.total"


class StillThere(Gate):
    """The option `fetch="lock"` on a deletion: the row was still there when it was locked.

    Otherwise another transaction has deleted it, and has sent the deletion already.
    """

    is_about_instances = True

    def admits(self, payload: Mapping[str, Any]) -> bool:
        instance = None if isinstance(payload, NetPayload) else payload.get("instance")
        return instance is None or not is_gone(without_wrapper(instance))

    def reason(self, payload: Mapping[str, Any]) -> SkipReason:
        return KeptAway("another transaction had deleted the row before")


@dataclass(frozen=True)
class AsksFor(Fact):
    """The options `fetch` and `writes`, and a parameter `changes`: the fields that the receiver asks for."""

    changes: tuple[str, ...]  # the fields whose changes it is given
    fetch: bool | str
    writes: tuple[str, ...]
    watches: tuple[Watch, ...]  # while they exist, instances remember these fields
    locks: Hold | None = None  # while it exists, the rows of deletions are locked

    def written(self) -> Mapping[str, Any]:
        given = {"fetch": self.fetch, "writes": [*self.writes]}
        return {name: value for name, value in given.items() if value}
