"""Receivers with random options, which write down that they were called, and in which order."""

from random import Random
from typing import Any

from heliograph import BeforeCommit, BeforeWrite, Durable, Inline, OnCommit, changed, created, raw
from heliograph.conditions import Changed, update_fields
from heliograph.dispatch import Condition

# Policies, each with whether its receiver has a batch.
POLICIES = (
    (None, False),
    (None, False),
    (BeforeCommit(), False),
    (BeforeCommit(batch=True), True),
    (BeforeCommit(batch=True, last=True), True),
    (OnCommit(), False),
    (OnCommit(batch=True), True),
    (Durable(missing="call"), False),
    (Durable(batch=True, missing="call"), True),
)
WITH_WRITE = (*POLICIES, (Inline(batch=True), True))
BEFORE_WRITE = (*POLICIES, (BeforeWrite(), True))


def is_odd(**kwargs: Any) -> bool:
    """Hold for every send: nobody knows that before."""
    return True


def is_even(**kwargs: Any) -> bool:
    """Hold for no send."""
    return False


def conditions(*fields: str) -> tuple[Any, ...]:
    """Return conditions on these fields, of which some are known before a write and some are not."""
    asked = changed(*fields)
    return (
        None,
        None,
        created,
        ~created & ~raw,
        asked,
        created | asked,
        ~created & asked,
        is_odd,
        is_even,
        created & is_odd,
        update_fields(*fields),
    )


def asks_for_changes(when: Any) -> bool:
    """Return whether a condition is about old values."""
    return isinstance(when, Condition) and any(isinstance(leaf, Changed) for leaf in when.leaves())


class Calls:
    """The calls of receivers, in order; each receiver has a name by which it is known."""

    def __init__(self, stack: Any, seed: int) -> None:
        self.stack = stack
        self.random = Random(seed)
        self.names: list[str] = []
        self.receivers: dict[Any, str] = {}

    def connect(
        self, signal: Any, sender: Any, policies: Any, whens: Any, *, subclasses: bool = False, **options: Any
    ) -> None:
        """Connect a receiver with a random policy and condition, and with some of the options."""
        random = self.random
        policy, is_batch = random.choice(policies)
        is_async = random.random() < 0.25 and not isinstance(policy, BeforeWrite)
        receiver = self._receiver(f"{getattr(signal, 'name', signal)} {len(self.receivers)}", is_batch, is_async)
        given = {
            "sender": sender,
            "subclasses": subclasses,
            "order": random.choice((0, 0, -1, 5)),
            "when": random.choice(whens),
            "delivery": policy,
            **{name: value for name, value in options.items() if random.random() < 0.5},
        }
        if not asks_for_changes(given["when"]):
            given["fetch"] = None
        signal.connect(receiver, **{name: value for name, value in given.items() if value is not None})
        self.stack.callback(signal.disconnect, receiver, sender=sender, subclasses=subclasses)

    def _receiver(self, name: str, is_batch: bool, is_async: bool) -> Any:
        if is_batch and is_async:

            async def record(sender: Any, batch: Any, **kwargs: Any) -> None:
                self.names.append(name)

        elif is_batch:

            def record(sender: Any, batch: Any, **kwargs: Any) -> None:  # type: ignore[misc]
                self.names.append(name)

        elif is_async:

            async def record(sender: Any, **kwargs: Any) -> None:  # type: ignore[misc]
                self.names.append(name)

        else:

            def record(sender: Any, **kwargs: Any) -> None:  # type: ignore[misc]
                self.names.append(name)

        record.__qualname__ = name.replace(" ", "_").replace(".", "_")
        self.receivers[record] = name
        return record
