"""The dispatchers that are compared, as far as they are installed."""

from __future__ import annotations

from importlib.metadata import version
from importlib.util import find_spec

import heliograph
from benchmarks import project
from benchmarks.django_peers import (
    BareSaving,
    Django,
    DjangoSaving,
    DjangoUncached,
    Heliograph,
    HeliographDeclared,
    HeliographSaving,
)
from benchmarks.keepers import ByHand, Computed, Keeper, Kept, NothingKept, Recounted, Trigger
from benchmarks.listeners import BulkTracker, Listener, OfSave, OfWrite, Shipped, WithoutReceivers
from benchmarks.other_peers import Blinker, Pluggy, Psygnal, PyDispatcher
from benchmarks.peer import BareLoop, Peer
from benchmarks.trackers import DirtyFields, HeliographChanges, Lifecycle, ModelUtils, Plain, Tracker

KINDS: tuple[type[Peer], ...] = (
    BareLoop,
    Django,
    DjangoUncached,
    Blinker,
    Psygnal,
    PyDispatcher,
    Pluggy,
    Heliograph,
    HeliographDeclared,
)
SAVING: tuple[type[Peer], ...] = (BareSaving, DjangoSaving, HeliographSaving)
TRACKERS: tuple[type[Tracker], ...] = (Plain, HeliographChanges, ModelUtils, DirtyFields, Lifecycle)
LISTENERS: tuple[type[Listener], ...] = (Shipped, WithoutReceivers, OfWrite, OfSave, BulkTracker)
KEEPERS: tuple[type[Keeper], ...] = (NothingKept, ByHand, Recounted, Computed, Trigger, Kept)
Kind = type[Peer] | type[Tracker] | type[Listener] | type[Keeper]
PACKAGED: tuple[Kind, ...] = (*KINDS, *TRACKERS, *LISTENERS, *KEEPERS)


def installed() -> list[Peer]:
    """Return the dispatchers that are installed."""
    return [kind() for kind in KINDS if _is_installed(kind)]


def dispatchers() -> list[Peer]:
    """Return the installed ones without the bare loop, which connects nothing."""
    return [peer for peer in installed() if not isinstance(peer, BareLoop)]


def saving() -> list[Peer]:
    """Return those that have a post_save."""
    return [kind() for kind in SAVING]


def trackers() -> list[Tracker]:
    """Return what keeps track of changes, as far as it is installed."""
    return [kind() for kind in TRACKERS if _is_installed(kind)]


def listeners() -> list[Listener]:
    """Return what receives bulk writes, as far as it is installed."""
    return [kind() for kind in LISTENERS if _is_installed(kind)]


def keepers() -> list[Keeper]:
    """Return what keeps figures of children, as far as it is installed."""
    return [kind() for kind in KEEPERS if _is_installed(kind)]


def left_out() -> list[str]:
    """Return those that are not installed, and the databases that do not answer."""
    silent = [f"{service}, which does not answer" for service in project.silent()]
    return [kind.name for kind in PACKAGED if not _is_installed(kind)] + silent


def versions() -> dict[str, str]:
    """Return the versions of what is compared."""
    packages = [kind.package for kind in PACKAGED if kind.package and _is_installed(kind)]
    return {"heliograph": heliograph.__version__} | {name: version(name) for name in dict.fromkeys(packages)}


def _is_installed(kind: Kind) -> bool:
    return not kind.module or find_spec(kind.module) is not None
