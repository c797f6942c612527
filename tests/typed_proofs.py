"""What a type checker makes of the proofs for tests: each ignored error must be one, or mypy says so."""

from typing import assert_type

from django.db.models import Model

from heliograph.flow.effects.seen_effects import Effect
from heliograph.testing import Redelivered, redelivered, rolled_back


def index(instance: Model, **kwargs: object) -> str:
    return str(instance)


def ship() -> int:
    return 1


async def ship_later() -> int:
    return 1


def test_rolled_back() -> None:
    assert_type(rolled_back(ship), list[Effect])
    rolled_back(ship_later, allowed=["mail", index], raising=False, using=["default", "archive"])
    rolled_back(ship, allowed=["post"])  # type: ignore[list-item]
    rolled_back(ship())  # type: ignore[arg-type]


def test_redelivered() -> None:
    found = redelivered(ship, by_hand=True, also=lambda: [1], ignoring=[Model, "shop.Order.seen_at", index])
    assert_type(found, list[Redelivered])
    assert_type(found[0].differences, tuple[str, ...])
    redelivered(ship, ignoring=1)  # type: ignore[arg-type]
