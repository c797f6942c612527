"""Reasons: why a receiver that is connected was not called."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple


class SkipReason:
    """Why a receiver was not called; its text says it."""

    is_reported: ClassVar[bool] = True  # whether observers get a `Skipped` for it


class Tested(NamedTuple):
    """A condition that was tested for a send; `evidence` shows the values that it has looked at."""

    condition: Any
    holds: bool
    evidence: Any = None

    def __str__(self) -> str:
        text = f"{self.condition!r} is {self.holds}"
        return text if self.evidence is None else f"{text}: {self.evidence}"


@dataclass(frozen=True)
class NotDue(SkipReason):
    """The condition did not hold: `when` is the condition, `tested` has each part that was tested, with its answer."""

    when: Any
    tested: tuple[Tested, ...]

    def __str__(self) -> str:
        return f"when={self.when!r}: {', '.join(map(str, self.tested))}"


@dataclass(frozen=True)
class Muted(SkipReason):
    """A scope such as `mute` has silenced the receiver: `scope` was entered at `where`, a file and line."""

    scope: Any
    where: str

    def __str__(self) -> str:
        return f"muted by {self.scope!r}, which {self.where} has entered"


@dataclass(frozen=True)
class Reentered(SkipReason):
    """The receiver was handling the same instance already; `chain` has the names of the receivers that were at work."""

    chain: tuple[str, ...]

    def __str__(self) -> str:
        return f"it was at work on this instance already: {' -> '.join(self.chain)}"


@dataclass(frozen=True)
class Gone(SkipReason):
    """The receiver was garbage collected after the send had begun."""

    def __str__(self) -> str:
        return "it was garbage collected after the send had begun"


@dataclass(frozen=True)
class KeptAway(SkipReason):
    """An option of the receiver, such as `using="other"`, keeps the send away; `text` says which."""

    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class NoNetChange(SkipReason):
    """The receiver is called with a batch, and no row of the batch was changed in the end."""

    def __str__(self) -> str:
        return "no row of its batch was changed in the end"


@dataclass(frozen=True)
class NoRowIsDue(SkipReason):
    """It is called with a batch, and its condition holds for no row of the batch, as the row was in the end."""

    when: Any

    def __str__(self) -> str:
        return f"when={self.when!r} holds for no row of the batch"


@dataclass(frozen=True)
class NotReached(SkipReason):
    """A receiver before it has raised an error, which has ended the send: `receiver` and `error` are their names."""

    receiver: str
    error: str

    def __str__(self) -> str:
        return f"it comes after {self.receiver}, which has raised {self.error}"


@dataclass(frozen=True)
class HandledElsewhere(SkipReason):
    """Another send of the same write is for it, which observers see."""

    is_reported = False

    def __str__(self) -> str:
        return "another send of the same write is for it"
