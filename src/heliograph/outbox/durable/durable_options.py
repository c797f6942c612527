"""The options of `Durable(...)`, with the errors for wrong values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, field, fields
from datetime import timedelta
from math import inf
from typing import Any

from heliograph.outbox.durable.durations import MOST, Limit, is_number, seconds_of
from heliograph.outbox.durable.retrying import Retry
from heliograph.transactions.end_policies import AtTheEnd

_MISSING = ("discard", "retry", "fail", "call")


@dataclass(frozen=True, repr=False)
class DurableOptions(AtTheEnd):
    """The options of a durable receiver; the docstring of `Durable` says what each of them does."""

    _: KW_ONLY
    queue: str = "default"
    retry: Retry = Retry()  # noqa: RUF009 - it is frozen
    key: str | Callable[..., Any] | None = None
    atomic: bool = True
    backend: str = "default"
    missing: str = "discard"
    aliases: tuple[str, ...] = field(default=())
    warn_after: Limit = None
    give_up_after: Limit = None

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "aliases", _aliases(self.aliases))
        _verify_options(self)
        _verify_limits(self)

    def __repr__(self) -> str:
        given = [(one.name, getattr(self, one.name)) for one in fields(self) if getattr(self, one.name) != one.default]
        return f"Durable({', '.join(f'{name}={value!r}' for name, value in given)})"


def _aliases(given: Any) -> tuple[str, ...]:
    names = (given,) if isinstance(given, str) else tuple(given)
    for name in names:
        if not isinstance(name, str) or "." not in name:
            raise TypeError(f"Durable(aliases=...) takes names such as 'shop.receivers.old_name', not {name!r}.")
    return names


def _verify_options(options: DurableOptions) -> None:
    for name in ("queue", "backend"):
        value = getattr(options, name)
        if not isinstance(value, str) or not 0 < len(value) <= 64:
            raise ValueError(f"Durable({name}=...) takes a name of up to 64 characters, not {value!r}.")
    if not isinstance(options.retry, Retry):
        raise TypeError(f"Durable(retry=...) takes Retry(...), not {options.retry!r}.")
    if not isinstance(options.atomic, bool):
        raise TypeError(f"Durable(atomic=...) takes True or False, not {options.atomic!r}.")
    if options.missing not in _MISSING:
        raise ValueError(f"Durable(missing=...) takes 'discard', 'retry', 'fail' or 'call', not {options.missing!r}.")
    _verify_key(options.key)


def _verify_key(key: object) -> None:
    if key is not None and not (isinstance(key, str) and key) and not callable(key):
        raise TypeError(f"Durable(key=...) takes a path such as 'instance.customer_id', or a function, not {key!r}.")


def _verify_limits(options: DurableOptions) -> None:
    for name in ("warn_after", "give_up_after"):
        limit: Any = getattr(options, name)
        if limit is not None and not isinstance(limit, timedelta) and not is_number(limit, -inf, inf):
            raise TypeError(f"Durable({name}=...) takes seconds, or a timedelta, not {limit!r}.")
        if limit is not None and not 0 < (seconds_of(limit) or 0) <= MOST:
            raise ValueError(f"Durable({name}=...) takes a time of more than nothing, up to ten years, not {limit!r}.")
    warning, end = seconds_of(options.warn_after), seconds_of(options.give_up_after)
    if warning is not None and end is not None and warning >= end:
        raise ValueError(
            f"Durable(warn_after={options.warn_after!r}) never warns with give_up_after={options.give_up_after!r},"
            " which comes first: warn earlier, or leave it out."
        )
