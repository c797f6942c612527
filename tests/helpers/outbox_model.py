"""A plain model of the outbox: the deliveries that the table must hold, and how each attempt must end."""

from collections import Counter, defaultdict, deque
from collections.abc import Collection, Iterable
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any

READY, RUNNING, SUCCESSFUL, DEAD, DISCARDED = "READY", "RUNNING", "SUCCESSFUL", "DEAD", "DISCARDED"
FINISHED = {SUCCESSFUL, DEAD, DISCARDED}

ATTEMPTS = 3  # the most that a delivery has
SUCCEEDS = "succeeds"
# How often the receiver fails before it succeeds, by its plan. All but the discards leave their effect first.
FAILURES = {SUCCEEDS: 0, "fails once": 1, "fails": ATTEMPTS, "breaks": 1, "waits": 1, "sends": 1}
DISCARDS = {"discards", "raises discard"}
PLANS = [*FAILURES, *DISCARDS, "gives up"]

# The receivers that run without a transaction, and the one that needs its row.
OUTSIDE = {"of_row_outside", "of_signal_outside"}
NEEDS_ROW = "of_row"


@dataclass(frozen=True)
class Sent:
    """What was sent to one receiver."""

    receiver: str
    about: Any
    key: str = ""
    plan: str = SUCCEEDS


@dataclass(frozen=True)
class Stored:
    """A delivery as the table must have it."""

    sent: Sent
    state: str = READY
    attempts: int = 0
    is_due: bool = True
    is_old: bool = False  # finished longer ago than it is kept

    @property
    def line(self) -> tuple[str, str, str, int]:
        """The columns that are compared with the table."""
        return self.sent.receiver, self.sent.key, self.state, self.attempts


@dataclass(frozen=True)
class Ending:
    """How an attempt must end."""

    event: str  # the name of the event that observers receive
    after: Stored
    keeps: bool  # whether the writes of the receiver stay although it runs in a transaction


@dataclass
class World:
    """Everything that a rollback can undo."""

    rows: dict[int, str] = field(default_factory=dict)  # names by primary keys
    deliveries: dict[int, Stored] = field(default_factory=dict)
    waiting: list[list[Sent]] = field(default_factory=list)  # sends of the open transaction, a list for each write


def plan_of(key: int) -> str:
    """Return the plan of the receivers of a row."""
    return [SUCCEEDS, "fails once", "waits", "gives up", "sends", "discards"][key % 6]


def order_of(key: int) -> str:
    """Return the key of order of a row; "" for some."""
    return ["even", "odd"][key % 2] if key % 3 else ""


def sent_of_write(key: int, old: str | None, new: str | None) -> list[Sent]:
    """Return what the receivers of rows are sent when the name of a row changes; None stands for no row."""
    if old == new:
        return []
    if old is None:
        names = ["of_row", "of_row_in_order"]
    else:
        names = ["of_deletion"] if new is None else ["of_row_in_order", "of_row_outside"]
    about = (key, None if old is None or new is None else (old, new))
    orders = {"of_row_in_order": order_of(key)}
    return [Sent(name, about, orders.get(name, ""), plan_of(key)) for name in names]


def sent_of_transaction(before: dict[int, str], after: dict[int, str]) -> list[Sent]:
    """Return what the receiver of batches is sent for a transaction."""
    keys = before.keys() | after.keys()
    changed = {(key, before.get(key), after.get(key)) for key in keys if before.get(key) != after.get(key)}
    return [Sent("of_batch", frozenset(changed))] if changed else []


def sent_of_signal(number: int, key: str, plan: str) -> list[Sent]:
    """Return what the receivers of a signal of one's own are sent."""
    orders = {"of_signal": "", "of_signal_in_order": key, "of_signal_outside": key}
    return [Sent(name, number, order, plan) for name, order in orders.items()]


def ending(one: Stored, *, is_gone: bool) -> Ending:
    """Return how an attempt of a delivery that runs must end."""
    plan = one.sent.plan
    if is_gone:
        return Ending("delivery_finished", replace(one, state=DISCARDED), keeps=False)
    if plan in DISCARDS:
        return Ending("delivery_finished", replace(one, state=DISCARDED), keeps=plan == "discards")
    if plan == "gives up" or FAILURES[plan] >= one.attempts >= ATTEMPTS:
        return Ending("delivery_dead", replace(one, state=DEAD), keeps=False)
    if FAILURES[plan] >= one.attempts:
        return Ending("delivery_failed", replace(one, state=READY, is_due=plan != "waits"), keeps=False)
    return Ending("delivery_finished", replace(one, state=SUCCESSFUL), keeps=True)


class Model:
    """The outbox, its rows, and the transaction that is open."""

    def __init__(self) -> None:
        self.now = World()
        self.saved: list[World] = []  # what it was when each open block began
        self.committed: dict[int, str] = {}
        self.sent: dict[int, Sent] = {}  # also of deliveries that were pruned
        self.effects: Counter[int] = Counter()  # by the id of the delivery
        self.unknown: dict[int, Sent] = {}  # rows of the table that the model has not accounted for

    # --- transactions ------------------------------------------------------------------------------------------

    def begin(self) -> None:
        self.saved.append(deepcopy(self.now))

    def release(self) -> None:
        self.saved.pop()

    def roll_back(self) -> None:
        self.now = self.saved.pop()

    def write(self, names: dict[int, str | None]) -> None:
        """Give rows these names; None deletes one."""
        rows = self.now.rows
        self.send([sent for key, new in names.items() for sent in sent_of_write(key, rows.get(key), new)])
        self.now.rows = {key: name for key, name in {**rows, **names}.items() if name is not None}

    def send(self, sent: list[Sent]) -> None:
        self.now.waiting.append(sent)

    def commit(self) -> None:
        """Account for the deliveries of the transaction that has ended; it has no others."""
        for group in [*self.now.waiting, sent_of_transaction(self.committed, self.now.rows)]:
            self.adopt(group)
        self.now.waiting, self.committed = [], self.now.rows
        assert not self.unknown, f"Nobody has sent {self.unknown}"

    def see(self, table: dict[int, Sent]) -> None:
        """Look at the table: what is new in it is to be accounted for."""
        self.unknown = {number: sent for number, sent in sorted(table.items()) if number not in self.sent}

    def adopt(self, group: Iterable[Sent]) -> None:
        """Account for the deliveries of one write, which come before those of the next write to the same receiver."""
        numbers = defaultdict(deque)
        for number, sent in self.unknown.items():
            numbers[sent.receiver].append(number)
        wanted = Counter(group)
        for receiver in [sent.receiver for sent in wanted.elements()]:
            assert numbers[receiver], f"No delivery for {wanted}"
            number = numbers[receiver].popleft()
            sent = self.sent[number] = self.unknown.pop(number)
            assert wanted[sent] > 0, f"{sent} is stored in place of {+wanted}"
            wanted[sent] -= 1
            self.now.deliveries[number] = Stored(sent)

    # --- attempts ----------------------------------------------------------------------------------------------

    def may_be_claimed(self, number: int) -> bool:
        """Whether it is due, and no other one of its key runs or comes first."""
        one = self.now.deliveries[number]
        others = {at: other for at, other in self.now.deliveries.items() if at != number and _share(one, other)}
        is_first = not any(
            other.state == RUNNING or (other.state == READY and at < number) for at, other in others.items()
        )
        return one.state == READY and one.is_due and is_first

    def claimable(self) -> list[int]:
        return [number for number in self.now.deliveries if self.may_be_claimed(number)]

    def has_unfinished(self) -> bool:
        return any(one.state not in FINISHED for one in self.now.deliveries.values())

    def claim(self, number: int) -> None:
        assert self.may_be_claimed(number), f"{self.now.deliveries[number]} was claimed\n{self}"
        one = self.now.deliveries[number]
        self.now.deliveries[number] = replace(one, state=RUNNING, attempts=one.attempts + 1)

    def replay(self, events: list[tuple[str, int, int]], held: Collection[int] | None) -> None:
        """Follow the attempts that were made, of which each must be allowed and end as it must.

        Their worker has claimed these deliveries before, and has lost all others; None if it claims what it makes.
        """
        ends = deque(events)
        while ends:
            name, number, attempt = ends.popleft()
            assert name == "delivery_started", f"{name} of {number} without a start"
            if held is None:
                self.claim(number)
            expected = self.attempt(number, attempt, is_lost=held is not None and number not in held)
            if expected is not None:
                assert ends, f"{self.sent[number]} has not ended"
                assert ends.popleft() == (expected, number, attempt), f"{self.sent[number]} ought to be {expected}"

    def attempt(self, number: int, attempt: int, *, is_lost: bool) -> str | None:
        """Make an attempt; return the event of its end, None if its worker has lost it."""
        if not is_lost:
            assert self.now.deliveries[number].attempts == attempt
        end = self._ending(number, attempt)
        self._call(number, attempt, keeps=end.keeps and not is_lost)
        if is_lost:
            return None
        self.now.deliveries[number] = end.after
        return end.event

    def _ending(self, number: int, attempt: int) -> Ending:
        sent = self.sent[number]
        is_gone = sent.receiver == NEEDS_ROW and sent.about[0] not in self.now.rows
        return ending(Stored(sent, RUNNING, attempt), is_gone=is_gone)

    def _call(self, number: int, attempt: int, *, keeps: bool) -> None:
        """Have the effects of a call: without a transaction they stay whatever becomes of it."""
        sent = self.sent[number]
        if not keeps and sent.receiver not in OUTSIDE:
            return
        self.effects[number] += 1
        if sent.plan == "sends":
            self.adopt([Sent("of_cause", (number, attempt))])

    def lose(self, numbers: list[int]) -> None:
        """Have the lease of a worker run out: for the first delivery that it has, that was an attempt."""
        for number in numbers[:1]:
            one = self.now.deliveries[number]
            self.now.deliveries[number] = replace(one, state=READY if one.attempts < ATTEMPTS else DEAD)
        self.hand_back(numbers[1:])

    def hand_back(self, numbers: list[int]) -> None:
        for number in numbers:
            one = self.now.deliveries[number]
            self.now.deliveries[number] = replace(one, state=READY, attempts=one.attempts - 1)

    # --- what people do ----------------------------------------------------------------------------------------

    def redeliver(self, numbers: Iterable[int]) -> int:
        return self._change(numbers, FINISHED, state=READY, attempts=0, is_due=True, is_old=False)

    def discard(self, numbers: Iterable[int]) -> int:
        return self._change(numbers, {READY, DEAD}, state=DISCARDED, is_old=False)

    def delete(self, numbers: Iterable[int]) -> int:
        finished = [number for number in numbers if self.now.deliveries[number].state in FINISHED]
        for number in finished:
            del self.now.deliveries[number]
        return len(finished)

    def prune(self, numbers: Iterable[int]) -> int:
        """Delete what is old, whether it was picked or not."""
        return self.delete([at for at, one in self.now.deliveries.items() if one.is_old and one.state != DEAD])

    def grow_old(self, numbers: Iterable[int]) -> int:
        return self._change(numbers, FINISHED, is_old=True)

    def hasten(self, numbers: Iterable[int]) -> int:
        return self._change(numbers, {READY}, is_due=True)

    def _change(self, numbers: Iterable[int], states: set[str], **values: Any) -> int:
        chosen = [number for number in numbers if self.now.deliveries[number].state in states]
        for number in chosen:
            self.now.deliveries[number] = replace(self.now.deliveries[number], **values)
        return len(chosen)

    def __str__(self) -> str:
        return "\n".join(f"{number}: {one}" for number, one in self.now.deliveries.items())


def _share(one: Stored, other: Stored) -> bool:
    """Whether two deliveries have a receiver and a key in common."""
    return bool(one.sent.key) and (one.sent.receiver, one.sent.key) == (other.sent.receiver, other.sent.key)
