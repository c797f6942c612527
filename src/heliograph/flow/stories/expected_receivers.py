"""Expected receivers: who will receive a send that was not made yet, in order, and whether each will be called."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from heliograph.catalogue import title
from heliograph.dispatch import Condition
from heliograph.dispatch.connections import Connection
from heliograph.dispatch.describe import full_name, origin, qualified_name
from heliograph.dispatch.inspection import connections_to
from heliograph.dispatch.options import Gate
from heliograph.dispatch.scopes import current, silencer, where_entered
from heliograph.flow.connected_receivers import ConnectedReceiver, options_of
from heliograph.flow.source_lines import short_line
from heliograph.flow.stories.foreseen import Foreseen, Known, Names, foresee, joined_names
from heliograph.receivers.facts import AsksFor
from heliograph.transactions.pending import Stage, Staged, WritePayload


class Verdict(Enum):
    """Whether a receiver will be called, as far as that is known before the write."""

    CALLED = "called"
    PERHAPS = "perhaps"  # the row decides, or a function of the project
    NOT_CALLED = "not called"


@dataclass(frozen=True)
class Expected:
    """A receiver that a send will ask, with what is known about its call."""

    receiver: Any
    signal: Any
    sender: Any
    where: str  # file and line, as seen from here: of the declaration, for a receiver that a recipe has connected
    connected_to: str  # the sender that it is connected to, in words
    is_asked: bool  # whether its condition is asked: no scope silences it, and no option keeps the send away
    verdict: Verdict
    reason: str  # why it is not called, or on what that depends
    policy: Any
    # As they were written, by their names; None is for what has no value, such as "async".
    options: Mapping[str, str | None] = field(default_factory=dict)
    declared: str = ""  # the declaration that has connected it, such as keep(...)
    writes: tuple[str, ...] = ()  # what the declaration keeps
    may_set: Names = frozenset()  # the fields that it may set before the row is written

    @property
    def name(self) -> str:
        """The name of the receiver, without its module."""
        return qualified_name(self.receiver).rpartition("<locals>.")[2]

    @property
    def full_name(self) -> str:
        """The name of the receiver with its module."""
        return full_name(self.receiver)

    @property
    def signal_name(self) -> str:
        """The name of the signal."""
        return title(self.signal)

    @property
    def stage(self) -> Stage | None:
        """The stage of a transaction at which it is called; None inside the send."""
        return self.policy.stage if isinstance(self.policy, Staged) else None

    @property
    def is_batch(self) -> bool:
        """Whether it is called with a batch."""
        return bool(getattr(self.policy, "batch", False))

    @property
    def is_async(self) -> bool:
        """Whether the receiver is async."""
        return "async" in self.options

    @property
    def about(self) -> str:
        """The first line of the docstring of the receiver."""
        # Not of `inspect.getdoc()`, which gives a `__call__` without a docstring that of Python's own.
        text = None if self.declared else getattr(origin(self.receiver), "__doc__", None)
        return inspect.cleandoc(text).partition("\n")[0] if text else ""


def expected(signal: Any, known: Sequence[Known]) -> list[Expected]:
    """Return the receivers of a send, in the order in which it asks them.

    There are several `known` where a write may be of several kinds, such as a creation or an update.
    """
    sender = known[0].payload["sender"]
    return [
        one
        for connection in connections_to(signal, sender)
        if (one := _expected(connection, signal, sender, known)) is not None
    ]


def may_call(receivers: Iterable[Expected]) -> list[Expected]:
    """Return the receivers that are not known to be left out."""
    return [one for one in receivers if one.verdict is not Verdict.NOT_CALLED]


def may_set(receivers: Iterable[Expected]) -> Names:
    """Return the names of the fields that these receivers may set before the row is written; None for any."""
    early = (one for one in may_call(receivers) if one.stage in (None, Stage.BEFORE_WRITE))
    return joined_names([one.may_set for one in early])


def _expected(connection: Connection, signal: Any, sender: Any, known: Sequence[Known]) -> Expected | None:
    receiver, options = connection.receiver(), connection.options
    if receiver is None:
        return None
    connected, asked = ConnectedReceiver(signal, connection, receiver), options.find(AsksFor)
    declared = connected.declared
    refusal = _refusal(connection, receiver, signal, sender, known[0])
    verdict, reason = (Verdict.NOT_CALLED, refusal) if refusal else _verdict(options.when, known)
    return Expected(
        receiver=receiver,
        signal=signal,
        sender=sender,
        where=connected.where,
        connected_to=connected.sender,
        is_asked=not refusal,
        verdict=verdict,
        reason=reason,
        policy=options.delivery,
        options=dict(options_of(connection, receiver)),
        declared="" if declared is None else declared.text,
        writes=() if declared is None else tuple(declared.writes()),
        may_set=frozenset(asked.writes) if asked is not None and asked.writes else None,
    )


# --- verdicts -----------------------------------------------------------------------------------------------------


def _refusal(connection: Connection, receiver: Any, signal: Any, sender: Any, known: Known) -> str:
    """Return why a receiver is not asked at all, whatever the instance: a scope silences it, or an option; or ""."""
    scope = silencer(signal, sender, connection.guarded or receiver, current())
    if scope is not None:
        return f"muted by {type(scope).__name__}(), entered at {short_line(where_entered(scope))}"
    payload, facts = WritePayload(known.payload), connection.options.facts
    gates = (one for one in facts if isinstance(one, Gate) and not one.is_about_instances)
    return next((str(one.reason(payload)) for one in gates if not one.admits(payload)), "")


def _verdict(when: Condition | None, known: Sequence[Known]) -> tuple[Verdict, str]:
    found = [(one, foresee(when, one)) for one in known]
    answers = [foreseen.holds for _, foreseen in found]
    if all(answer is True for answer in answers):
        return Verdict.CALLED, ""
    if all(answer is False for answer in answers):
        return Verdict.NOT_CALLED, f"when={when!r}, and {_deciding(found[-1][1])}"
    return Verdict.PERHAPS, _open(found)


def _deciding(foreseen: Foreseen) -> str:
    """Return the parts of a condition that are known."""
    return ", ".join(str(part) for part in foreseen.parts if part.holds is not None)


def _open(found: Sequence[tuple[Known, Foreseen]]) -> str:
    """Return on what a call depends: on the kind of the write, or on the rest of the condition."""
    texts = {_kind(one): _if(foreseen) for one, foreseen in found if not isinstance(foreseen.holds, bool)}
    sure = [_kind(one) for one, foreseen in found if foreseen.holds is True]
    refused = any(foreseen.holds is False for _, foreseen in found)
    if sure:
        return f"only if the row {sure[0]}" if refused else f"if the row {sure[0]}, or {next(iter(texts.values()))}"
    if refused:
        return next(f"only if the row {kind}, and {text}" for kind, text in texts.items())
    return ", or ".join(dict.fromkeys(texts.values()))


def _if(foreseen: Foreseen) -> str:
    evidence = ", ".join(part.evidence for part in foreseen.parts if part.holds is None and part.evidence)
    return f"if {foreseen.holds!r}{f' ({evidence})' if evidence else ''}"


def _kind(known: Known) -> str:
    return "is new" if known.payload.get("created") else "is there already"
