"""Drift: how the receivers that are connected differ from those that a file remembers, as a few lines."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, Literal

from heliograph.flow.connected_receivers import ConnectedReceiver, declared_name, is_of_library, short_signal
from heliograph.flow.listing import extras
from heliograph.flow.receiver_json import VERSION, record_of

Change = Literal["added", "removed", "moved", "changed"]
Record = dict[str, Any]


@dataclass(frozen=True, order=True)
class Difference:
    """The change of one receiver of a signal between two records."""

    change: Change
    receiver: str
    signal: str
    sender: str
    text: str  # the options of a receiver that came or left; what it was and what it is

    def __str__(self) -> str:
        return f"{self.change:8} {self.receiver}  {short_signal(self.signal)} from {self.sender}  {self.text}".rstrip()


def records_to_compare(receivers: Sequence[ConnectedReceiver]) -> list[Record]:
    """Return the records of a project's receivers and declarations."""
    return _of_project(map(record_of, receivers))


def _of_project(records: Iterable[Record]) -> list[Record]:
    """Return records without the receivers of Django and Heliograph themselves, which are others in each release."""
    named = [{**one, "receiver": declared_name(one["receiver"])} for one in records]
    return [one for one in named if not is_of_library(one["receiver"])]


def verified(document: Any) -> list[Record]:
    """Return the records of a document that this release can read; raise ValueError for another one."""
    if not isinstance(document, dict) or not isinstance(document.get("receivers"), list):
        raise ValueError("it has no receivers.")
    if document.get("version") != VERSION:
        raise ValueError(f"it has version {document.get('version')!r}, and this release reads version {VERSION}.")
    return _of_project(document["receivers"])


def differences(before: Sequence[Record], after: Sequence[Record]) -> list[Difference]:
    """Return what has changed about who receives what, in an order that is the same in each process."""
    comparison = _Comparison([*before], [*after])
    return sorted([*comparison.of_pairs(), *_reordered(before, after)])


# --- pairs of a record before and a record after -------------------------------------------------------------------


def _module_and_name(record: Record) -> tuple[str, str]:
    """Return the module and the name of a receiver; the text in the brackets of a recipe belongs to the name."""
    head, bracket, rest = record["receiver"].removeprefix("partial(").partition("(")
    module, _, name = head.rpartition(".")
    return module, f"{name}{bracket}{rest}"


# The keys by which a record before and a record after count as the same receiver: the strictest key comes first.
_KEYS: tuple[Callable[[Record], Hashable], ...] = (
    lambda one: (one["signal"], one["sender"], one["receiver"], repr(one["options"])),
    lambda one: (one["signal"], one["sender"], one["receiver"]),
    lambda one: (one["signal"], one["receiver"]),
    lambda one: (one["signal"], one["sender"], _module_and_name(one)[1]),
)


def _all_but_name(one: Record) -> Hashable:
    """Return the key by which a renamed receiver is recognized, if no other receiver has the same key."""
    return one["signal"], one["sender"], _module_and_name(one)[0], repr(one["options"])


class _Comparison:
    """The records before and after that have no partner yet."""

    def __init__(self, before: list[Record], after: list[Record]) -> None:
        self.before, self.after = before, after

    def of_pairs(self) -> Iterator[Difference]:
        """Yield what has become of each record: by pairs first, and then those that are left."""
        for key in _KEYS:
            for old, new in self._pairs(key):
                yield from _changes(old, new)
        for old, new in self._pairs(self._if_single(_all_but_name)):
            yield from _changes(old, new)
        yield from (_difference("added", one, extras_of(one)) for one in self.after)
        yield from (_difference("removed", one, extras_of(one)) for one in self.before)

    def _if_single(self, key: Callable[[Record], Hashable]) -> Callable[[Record], Hashable]:
        """Return a key that is the record itself where several records before, or after, have the same key."""
        several = {one for side in (self.before, self.after) for one, n in Counter(map(key, side)).items() if n > 1}
        return lambda one: id(one) if key(one) in several else key(one)

    def _pairs(self, key: Callable[[Record], Hashable]) -> list[tuple[Record, Record]]:
        """Return the pairs of records with the same key, and take them out of those that are left."""
        waiting = defaultdict[Hashable, list[Record]](list)
        for one in self.before:
            waiting[key(one)].append(one)
        pairs = [(waiting[key(one)].pop(0), one) for one in self.after if waiting[key(one)]]
        self.before = _without(self.before, [old for old, _ in pairs])
        self.after = _without(self.after, [new for _, new in pairs])
        return pairs


def _without(records: Sequence[Record], taken: Sequence[Record]) -> list[Record]:
    ids = {*map(id, taken)}
    return [one for one in records if id(one) not in ids]


def _changes(old: Record, new: Record) -> Iterator[Difference]:
    if old["receiver"] != new["receiver"]:
        yield _difference("moved", new, f"was {old['receiver']}")
    if old["sender"] != new["sender"]:
        yield _difference("changed", new, f"sender: {old['sender']} -> {new['sender']}")
    was, now = old["options"], new["options"]
    for name in sorted({*was, *now}):
        if was.get(name) != now.get(name):
            change: Change = "moved" if name == "order" else "changed"
            yield _difference(change, new, f"{name}: {_shown(was.get(name))} -> {_shown(now.get(name))}")


def _shown(value: Any) -> str:
    return "none" if value is None else "yes" if value is True else str(value)


def extras_of(record: Record) -> str:
    """Return the options of a record as text."""
    return extras({name: None if value is True else value for name, value in record["options"].items()})


def _difference(change: Change, record: Record, text: str) -> Difference:
    return Difference(change, record["receiver"], record["signal"], record["sender"], text)


# --- the order of calls --------------------------------------------------------------------------------------------


def _reordered(before: Sequence[Record], after: Sequence[Record]) -> Iterator[Difference]:
    """Yield the receivers that have moved in the order in which the receivers of a send are called."""
    old, new = _by_send(before), _by_send(after)
    for send in sorted(old.keys() & new.keys()):
        known = _single(old[send]) & _single(new[send])
        kept_before, kept_after = ([name for name in names if name in known] for names in (old[send], new[send]))
        for name in _moved(kept_before, kept_after):
            text = f"is called as number {new[send].index(name) + 1}, was number {old[send].index(name) + 1}"
            yield Difference("moved", name, *send, text)


def _single(names: Sequence[str]) -> set[str]:
    """Return the names that only one receiver has; several lambdas of a module have one name."""
    return {name for name, count in Counter(names).items() if count == 1}


def _by_send(records: Sequence[Record]) -> dict[tuple[str, str], list[str]]:
    """Return the names of the receivers of each send; a receiver with an `order=` of its own has its position by it."""
    found = defaultdict[tuple[str, str], list[str]](list)
    for one in records:
        if "order" not in one["options"]:
            found[one["signal"], one["sender"]].append(one["receiver"])
    return found


def _moved(before: Sequence[str], after: Sequence[str]) -> list[str]:
    """Return the names that must be moved to turn one order into the other."""
    blocks = SequenceMatcher(None, before, after, autojunk=False).get_matching_blocks()
    stayed = {at for block in blocks for at in range(block.b, block.b + block.size)}
    return [name for at, name in enumerate(after) if at not in stayed]
