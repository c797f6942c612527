"""The receivers, senders and payload that are sent to and fro."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import count as counting
from types import CodeType
from typing import Any

Receiver = Callable[..., Any]

TAKES_KEYWORDS = "def receiver_{number}(sender, **kwargs): pass"
TAKES_PAYLOAD = "def receiver_{number}(sender, instance, created): pass"
AWAITED = "async def receiver_{number}(sender, **kwargs): pass"


class Order:
    """The sender, and the class of the instance that is sent."""


ORDER = Order()


class Handler:
    """An object with a method that is connected."""

    def handle(self, sender: object, **kwargs: object) -> None:
        """Receive."""

    def handle_payload(self, sender: object, instance: object, created: object) -> None:
        """Receive, for dispatchers that send by position."""


def functions(count: int, source: str = TAKES_KEYWORDS) -> list[Receiver]:
    """Return functions as a module has them: each with its own name and its own code.

    Those of another number or source are of another file, since Heliograph knows functions by file and name.
    """
    module: dict[str, Any] = {"__name__": "receivers"}
    exec(_compiled(count, source), module)
    made = [module[f"receiver_{number}"] for number in range(count)]
    module.clear()  # so that a function which is dropped is gone, without garbage collection
    return made


_files = counting()


@cache
def _compiled(count: int, source: str) -> CodeType:
    text = "\n".join(source.format(number=number) for number in range(count))
    return compile(text, f"receivers_{next(_files)}.py", "exec")


def methods(count: int, name: str = "handle") -> list[Receiver]:
    """Return bound methods, each of an object of its own."""
    return [getattr(Handler(), name) for _ in range(count)]


@cache
def other_senders(count: int = 100) -> list[type]:
    """Return senders that nobody sends from."""
    return [type(f"Other{number}", (), {}) for number in range(count)]
