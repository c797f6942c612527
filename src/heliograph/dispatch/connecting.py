"""Connecting: the one way from a call of `connect` or `disconnect` to the connections of each sender."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from sys import getrefcount
from typing import Any

from heliograph.dispatch.condition_base import Target
from heliograph.dispatch.guarded import connection_with
from heliograph.dispatch.identity import Receiver, identity
from heliograph.dispatch.option_errors import unknown_option, verify_values
from heliograph.dispatch.options import OF_THE_CALL, PLAIN, Options, options_of
from heliograph.dispatch.routes import registering
from heliograph.dispatch.senders import senders_in, verify_family
from heliograph.dispatch.undoing import all_or_nothing
from heliograph.dispatch.verification import COUNTS_REFERENCES, UNHELD, refuse_fleeting, verify_names, verify_receiver


@dataclass(frozen=True, slots=True)
class Request:
    """The options of one call of `connect`, which hold for each of its senders."""

    weak: bool
    dispatch_uid: Hashable | None
    order: int
    subclasses: bool
    options: Options
    more: Mapping[str, Any]  # all options as they were given: a kind of signal may have options of its own


class Connector:
    """How receivers are connected to the signals of one kind.

    The kinds differ in the senders that they have, in the options that they take and other signals do not, and in
    whether a sender may be named before it exists: `targets`, `options_at`, `connect_when_loaded`, `disconnect_one`.
    """

    connect_names: Sequence[str] = ("receiver", "sender", "weak", "dispatch_uid", "order", "subclasses", *OF_THE_CALL)
    disconnect_names: Sequence[str] = ("receiver", "sender", "dispatch_uid", "subclasses")
    names_of_senders: tuple[type, ...] = ()  # the types of values that only name a sender

    def connect(
        self, signal: Any, receiver: Any, sender: Any, weak: Any, uid: Any, given: Mapping[str, Any], apps: Any = None
    ) -> None:
        """Connect a receiver to the senders that an argument names: to all of them, or to none.

        To be called by the method that the user calls. Raises TypeError or ValueError for a receiver, a sender or an
        option that cannot work.
        """
        unknown = [name for name in given if name not in self.connect_names]
        if unknown:
            raise unknown_option(f"{self.shown(signal)}.connect()", unknown[0], self.connect_names, receiver)
        verify_receiver(receiver)
        if weak and COUNTS_REFERENCES and getrefcount(receiver) <= UNHELD:
            refuse_fleeting(receiver)
        request = _request(weak, uid, given)
        targets = self.targets(signal, sender, request.subclasses, receiver)
        with all_or_nothing() if len(targets) > 1 else nullcontext():
            for target in targets:
                if apps is None and not isinstance(target.sender, self.names_of_senders):
                    self.connect_one(receiver, request, target)
                else:
                    self.connect_when_loaded(receiver, request, target, apps)

    def disconnect(self, signal: Any, receiver: Any, sender: Any, uid: Any, given: Any, apps: Any = None) -> bool:
        """Disconnect a receiver, or a dispatch_uid, from the senders that an argument names."""
        unknown = [name for name in given if name not in self.disconnect_names]
        if unknown:
            raise unknown_option(f"{self.shown(signal)}.disconnect()", unknown[0], self.disconnect_names, receiver)
        verify_values(dispatch_uid=uid, **given)
        targets = self.targets(signal, sender, given.get("subclasses", False), receiver)
        found = [self.disconnect_one(receiver, uid, target, apps) for target in targets]
        return found[0] if len(found) == 1 else any(found)

    # --- where the kinds of signals differ ------------------------------------------------------------------------

    def shown(self, signal: Any) -> str:
        """Return the name of a signal for errors."""
        return repr(signal)

    def targets(self, signal: Any, sender: Any, subclasses: bool, receiver: Any) -> Sequence[Target]:
        """Return the targets that an argument names; raise TypeError or ValueError for a sender that never sends."""
        senders = senders_in(sender, receiver) if type(sender) is list else (sender,)
        for one in senders if subclasses else ():
            verify_family(one)
        carries = signal._carries
        return [Target(signal, one, subclasses, None, carries, carries is not None) for one in senders]

    def options_at(self, request: Request, receiver: Receiver, target: Target) -> Options:
        """Return the options of a receiver at one target, before its condition and its policy are connected there."""
        return request.options

    def connect_when_loaded(self, receiver: Receiver, request: Request, target: Target, apps: Any) -> None:
        """Connect to a sender that is named, as soon as it is there; for kinds with `names_of_senders`."""

    def connect_one(self, receiver: Receiver, request: Request, target: Target) -> None:
        """Connect to one sender."""
        options = self.options_at(request, receiver, target)
        if options is not PLAIN:
            options = options.connected(receiver, target)
        if target.is_exact and not options.asks_batch:  # the policy has verified the names of a batch
            verify_names(receiver, target, options.gives)
        key = identity(receiver, request.dispatch_uid)
        with registering:
            table = target.signal._table
            bucket = table.bucket_of(target.sender, target.subclasses)
            table.connect(connection_with(options, bucket, receiver, key, request.weak, request.order), receiver)
        forget_cache(target.signal)

    def disconnect_one(self, receiver: Any, uid: Any, target: Target, apps: Any = None) -> Any:
        """Disconnect from one sender; return whether the receiver was connected."""
        key, table = identity(receiver, uid), target.signal._table
        with registering:
            bucket = table.existing(target.sender, target.subclasses)
            connection = bucket and bucket.find_receiver(key, receiver)
            if connection:
                table.disconnect(connection)
        forget_cache(target.signal)
        return connection is not None


def forget_cache(signal: Any) -> None:
    """Empty the cache that Django's own code uses, where a monitoring tool has kept Django's _live_receivers."""
    cache = signal.__dict__.get("sender_receivers_cache")
    if cache:
        cache.clear()


def _request(weak: Any, dispatch_uid: Any, given: Mapping[str, Any]) -> Request:
    """Return a request whose options are verified, as far as that can be done without a sender."""
    verify_values(weak=weak, dispatch_uid=dispatch_uid, **given)
    order, subclasses = given.get("order", 0), given.get("subclasses", False)
    called = {name: given[name] for name in OF_THE_CALL if name in given}
    options = options_of(**called) if called else PLAIN
    return Request(weak, dispatch_uid, order, subclasses, options, given)
