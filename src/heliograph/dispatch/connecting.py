"""Connecting: the one way from a call of `connect` or `disconnect` to the connections of each sender."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from heliograph.dispatch.condition_base import Target
from heliograph.dispatch.guarded import connection_with
from heliograph.dispatch.identity import Receiver, identity
from heliograph.dispatch.option_errors import refuse_unknown, verify_values
from heliograph.dispatch.options import OF_THE_CALL, PLAIN, Options, options_of
from heliograph.dispatch.routes import registering
from heliograph.dispatch.senders import senders_named, verify_family
from heliograph.dispatch.undoing import all_or_nothing
from heliograph.dispatch.verification import refuse_fleeting, verify_names, verify_receiver


@dataclass(frozen=True, slots=True)
class Request:
    """What one call of `connect` asks for, for each of its senders."""

    weak: bool
    dispatch_uid: Hashable | None
    order: int
    subclasses: bool
    options: Options
    more: Mapping[str, Any]  # all options as they were given: a kind of signal may have options of its own


class Connector:
    """How receivers are connected to the signals of one kind.

    The kinds differ in the senders that they have, in the options that they take beyond those of every signal, and in
    whether a sender may be named before it exists: `senders`, `options_at`, `connect_one` and `disconnect_one`.
    """

    connect_names: Sequence[str] = ("receiver", "sender", "weak", "dispatch_uid", "order", "subclasses", *OF_THE_CALL)
    disconnect_names: Sequence[str] = ("receiver", "sender", "dispatch_uid", "subclasses")

    def connect(
        self, signal: Any, receiver: Any, sender: Any, weak: Any, uid: Any, given: Mapping[str, Any], apps: Any = None
    ) -> None:
        """Connect a receiver to the senders that an argument names: to all of them, or to none.

        To be called by the method that the user calls. Raises TypeError or ValueError for a receiver, a sender or an
        option that cannot work.
        """
        if given:
            refuse_unknown(lambda: f"{self.shown(signal)}.connect()", given, self.connect_names, receiver)
        verify_receiver(receiver)
        if weak:
            refuse_fleeting(receiver)
        request = _request(weak, uid, given)
        senders = self.senders(signal, sender, request.subclasses, receiver)
        if len(senders) == 1:
            self.connect_one(signal, receiver, request, senders[0], apps)
            return
        with all_or_nothing():
            for one in senders:
                self.connect_one(signal, receiver, request, one, apps)

    def disconnect(self, signal: Any, receiver: Any, sender: Any, uid: Any, given: Any, apps: Any = None) -> bool:
        """Disconnect a receiver, or a dispatch_uid, from the senders that an argument names."""
        refuse_unknown(lambda: f"{self.shown(signal)}.disconnect()", given, self.disconnect_names, receiver)
        verify_values(dispatch_uid=uid, **given)
        subclasses = given.get("subclasses", False)
        senders = self.senders(signal, sender, subclasses, receiver)
        found = [self.disconnect_one(signal, receiver, uid, subclasses, one, apps) for one in senders]
        return found[0] if len(found) == 1 else any(found)

    # --- where the kinds of signals differ ------------------------------------------------------------------------

    def shown(self, signal: Any) -> str:
        """Return the name of a signal for errors."""
        return repr(signal)

    def senders(self, signal: Any, sender: Any, subclasses: bool, receiver: Any) -> Sequence[Any]:
        """Return the senders that an argument names; raise TypeError or ValueError for a sender that never sends."""
        senders = senders_named(sender, receiver)
        for one in senders if subclasses else ():
            verify_family(one)
        return senders

    def options_at(self, request: Request, receiver: Receiver, target: Target) -> Options:
        """Return the options of a receiver at one target, before its condition and its policy are connected there."""
        return request.options

    def connect_one(self, signal: Any, receiver: Receiver, request: Request, sender: Any, apps: Any = None) -> None:
        """Connect to one sender."""
        target = Target(signal, sender, request.subclasses)
        options = self.options_at(request, receiver, target)
        if options is not PLAIN:
            options = options.connected(receiver, target)
        verify_names(receiver, signal, options.gives)
        key = identity(receiver, request.dispatch_uid)
        with registering:
            table = signal._table
            bucket = table.bucket_of(sender, request.subclasses)
            table.connect(connection_with(options, bucket, receiver, key, request.weak, request.order), receiver)
        forget_cache(signal)

    def disconnect_one(
        self, signal: Any, receiver: Any, uid: Any, subclasses: bool, sender: Any, apps: Any = None
    ) -> Any:
        """Disconnect from one sender; return whether the receiver was connected."""
        key = identity(receiver, uid)
        with registering:
            bucket = signal._table.existing(sender, subclasses)
            connection = bucket and bucket.find_receiver(key, receiver)
            if connection:
                signal._table.disconnect(connection)
        forget_cache(signal)
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
    options = options_of(**{name: given[name] for name in OF_THE_CALL if name in given})
    return Request(weak, dispatch_uid, order, subclasses, options, given)
