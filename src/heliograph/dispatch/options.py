"""Options: how a connected receiver is called, and what is known about it, as frozen values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol, TypeVar, runtime_checkable

from heliograph.dispatch.condition_base import Condition, Payload, Target, condition
from heliograph.dispatch.policies import Call, DeliveryPolicy, Inline, no_policy
from heliograph.dispatch.reentrancy import POLICIES, refuse_reentrant
from heliograph.dispatch.skip_reasons import KeptAway, NotDue, SkipReason

F = TypeVar("F", bound="Fact")


class Fact:
    """The base class of what a library knows about a receiver, for `facts=` of `Signal.connect`.

    A fact lives as long as the connection, so it may hold an object that is needed only so long.
    """

    def written(self) -> Mapping[str, Any]:
        """Return the options that the user wrote for the fact, by their names, as `inspect()` shows them.

        The mapping is empty if the fact follows from something else.
        """
        return {}


class NeverMuted(Fact):
    """The fact that no scope silences a receiver, as an audit log must not be."""


@dataclass(frozen=True)
class WritesRows(Fact):
    """The fact that a receiver of a library writes rows of these models, which graphs of signals show."""

    labels: tuple[str, ...]  # of the models, such as "shop.Order"


class Gate(Fact):
    """The base class of a `Fact` that keeps some sends from a receiver, as `using="other"` does."""

    is_about_instances: ClassVar[bool] = False  # if so, it admits all sends about many rows

    def admits(self, payload: Payload) -> bool:
        """Return whether the receiver may receive a send with this payload; it is asked before the condition."""
        raise NotImplementedError

    def reason(self, payload: Payload) -> SkipReason:
        """Return the reason why a send was not admitted, which observers find in `Skipped`."""
        return KeptAway(f"{type(self).__name__} keeps it away")


@dataclass(frozen=True, slots=True)
class Options:
    """How a connected receiver is called, beyond what Django knows."""

    when: Condition | None = None
    delivery: DeliveryPolicy = Inline()
    reentrant: str = "allow"
    blocking: bool = True
    call: Callable[[Callable[..., Any], dict[str, Any]], Call] = Call  # makes what the policy is handed, for each send
    facts: tuple[Fact, ...] = ()  # one of each kind
    gives: frozenset[str] = frozenset()  # the names that a call has beyond the names of the signal
    defers: bool = False  # whether the policy only keeps a call for later: it does so in the sender's thread
    asks_batch: bool = False  # whether the policy asks `when` about a batch, so that no single send is asked

    def connected(self, receiver: Callable[..., Any], target: Target) -> Options:
        """Return the options of a receiver that is connected to this target."""
        options = self if self.when is None else replace(self, when=self.when.connected(target))
        delivery = self.delivery
        # Nearly all are Inline, and to ask whether one has the methods of a protocol takes as long as to connect it.
        if (type(delivery) is Inline and not delivery.batch) or not isinstance(delivery, ConnectedPolicy):
            return options
        return delivery.connected(options, receiver, target)

    def with_facts(self, *facts: Fact) -> Options:
        """Return these options with more facts."""
        return replace(self, facts=(*self.facts, *facts))

    def find(self, kind: type[F]) -> F | None:
        """Return the fact of this kind, or None."""
        for one in self.facts:
            if isinstance(one, kind):
                return one
        return None

    def admits(self, payload: Payload) -> bool:
        """Return whether all gates admit a send."""
        return all(one.admits(payload) for one in self.facts if isinstance(one, Gate))

    def refusal(self, payload: Payload) -> SkipReason | None:
        """Return why a send is not due, of which gates and condition are asked once; None if it is due."""
        for one in self.facts:
            if isinstance(one, Gate) and not one.admits(payload):
                return one.reason(payload)
        if self.when is None or self.asks_batch:
            return None
        found: list[Any] = []
        if self.when.test(payload, found):
            return None
        return NotDue(self.when, tuple(one._replace(evidence=one.condition.evidence(payload)) for one in found))

    def may_admit(self, payload: Payload) -> bool:
        """Return whether the gates may admit a send with this payload, whose instances are not known yet."""
        gates = (one for one in self.facts if isinstance(one, Gate) and not one.is_about_instances)
        return all(gate.admits(payload) for gate in gates)

    def written(self) -> dict[str, Any]:
        """Return the options that the user wrote, by their names, where they differ from Django's behaviour."""
        own = {"when": self.when, "delivery": self.delivery, "reentrant": self.reentrant, "blocking": self.blocking}
        others = {name: value for one in self.facts for name, value in one.written().items()}
        return {**others, **{name: value for name, value in own.items() if value != getattr(PLAIN, name)}}


@runtime_checkable
class ConnectedPolicy(DeliveryPolicy, Protocol):
    """The protocol of a `DeliveryPolicy` that also changes the options of each receiver that is connected with it."""

    def connected(self, options: Options, receiver: Callable[..., Any], target: Target) -> Options:
        """Return the options of a receiver that is connected to this target with this policy.

        A policy that makes its calls later sets `defers`, and may let `call` keep what the later call needs to know of
        the send. Raises TypeError where the policy makes no sense.
        """


PLAIN = Options()


# The options of `connect` that are about the call of a receiver, and not about its position among the receivers.
OF_THE_CALL = ("when", "delivery", "reentrant", "blocking", "call", "facts")


def options_of(
    when: Condition | Callable[..., object] | None = None,
    delivery: DeliveryPolicy | None = None,
    reentrant: str = "allow",
    blocking: bool = True,
    call: Callable[..., Call] = Call,
    facts: tuple[Fact, ...] = (),
) -> Options:
    """Return the options of a receiver's calls: PLAIN itself for a receiver of Django, since that costs nothing.

    Raises TypeError or ValueError for a condition, a policy or a `reentrant` that cannot work.
    """
    if when is None and delivery is None and reentrant == "allow" and blocking is True and call is Call and not facts:
        return PLAIN
    if delivery is not None and (isinstance(delivery, type) or not isinstance(delivery, DeliveryPolicy)):
        raise no_policy(delivery)
    if reentrant not in POLICIES:
        refuse_reentrant(reentrant)
    asked = when if when is None or isinstance(when, Condition) else condition(when)
    gives = frozenset[str](getattr(call, "gives", ()))
    return Options(asked, delivery or Inline(), reentrant, blocking, call, facts, gives)
