"""The costs of knowing what changed, in time and in memory, also where nobody wants to know."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import cycle
from typing import Any

from benchmarks import orders, peers
from benchmarks.facts import HELIOGRAPH, Candidate, Column, Group, beside_column, beside_django, within
from benchmarks.receivers import Receiver, functions
from benchmarks.timing import Call, once, repeated
from benchmarks.trackers import PLAIN, HeliographChanges, Plain, Tracker

ROWS, FEWER = 10_000, 100
SAVES = 5  # in a round

LOAD, LOAD_FEWER, CREATE = "load 10,000", "load 100", "create()"
SAVE, SAVE_ONE, SAVE_OTHER = "save()", "save(update_fields)", "save(), other field"
CHANGED, MEMORY = "one field changed", "one instance"
BEFORE, AFTER = "nobody watches", "another is watched"


@dataclass(frozen=True, slots=True)
class Tracked:
    """A model that somebody keeps track of, and its receiver."""

    tracker: Tracker
    model: Any
    receiver: Receiver


def groups() -> Iterator[Group]:
    """Yield the groups of this file."""
    yield _writing()
    yield _asking()
    yield _memory()
    yield _unwatched()


# --- loading and saving ---------------------------------------------------------------------------------------


def _writing() -> Group:
    made: dict[str, Callable[[], list[Candidate]]] = {
        LOAD: _loading,
        SAVE: partial(_all, _saving),
        SAVE_ONE: partial(_all, _saving_one),
        SAVE_OTHER: partial(_all, _saving_other),
        CREATE: partial(_all, _creating),
    }
    return Group(
        "changes",
        "Changes: loading and saving",
        "A model of twelve columns for each, in a SQLite database in memory, whose `status`, `total` and `customer` are"
        " watched; django-lifecycle always looks at all columns. Every model, also the plain one, has one receiver of"
        ' `post_save` that does nothing: Heliograph\'s is connected with `when=changed("status", "total", "customer")`,'
        " the others with Django's `connect`, so that only Heliograph finds out in each save what changed. The status"
        " is another one in each save, except in `save(), other field`. A round is five saves, in a transaction whose"
        " begin and end are not measured. django-dirtyfields connects a receiver whenever an instance is made, loaded"
        " ones too: here with the adopted `connect`, which takes longer than Django's.",
        tuple(Column(name, candidates) for name, candidates in made.items()),
        tuple(beside_django(name, 1.05) for name in made),
        base=PLAIN,
        processes=3,
    )


def _all(call: Callable[[Any], Call]) -> list[Candidate]:
    return [_in_transaction(one.tracker.name, call(one.model)) for one in _every()]


def _in_transaction(name: str, call: Call) -> Candidate:
    """Return a candidate each of whose rounds is one transaction."""
    return Candidate(name, partial(_atomically, repeated(name, call).run), rounds=250, loops=SAVES)


def _atomically(run: Callable[[int], float], loops: int) -> float:
    from django.db import transaction

    with transaction.atomic():
        return run(loops)


def _loading() -> list[Candidate]:
    return [once(one.tracker.name, partial(_load, one.model), one.tracker.load_rounds) for one in _every()]


def _load(model: Any) -> Call:
    gc.collect()  # what the round before has left in cycles
    return lambda: list(model.objects.all())


def _saving(model: Any) -> Call:
    order, statuses = model.objects.first(), cycle(orders.STATUSES)

    def save() -> None:
        order.status = next(statuses)
        order.save()

    return save


def _saving_one(model: Any) -> Call:
    order, statuses = model.objects.first(), cycle(orders.STATUSES)

    def save() -> None:
        order.status = next(statuses)
        order.save(update_fields=["status"])

    return save


def _saving_other(model: Any) -> Call:
    order, weights = model.objects.first(), cycle((1, 2))

    def save() -> None:
        order.weight = next(weights)
        order.save()

    return save


def _creating(model: Any) -> Call:
    manager, values = model.objects, dict(orders.VALUES)
    return lambda: manager.create(**values)


# --- asking ---------------------------------------------------------------------------------------------------


def _asking() -> Group:
    return Group(
        "changed",
        "Changes: what changed?",
        "A loaded instance whose status is changed, not saved: `changes_of(instance)`, `tracker.changed()`,"
        " `get_dirty_fields(check_relationship=True)`, and of django-lifecycle `initial_value` of those of the three"
        " fields that have `has_changed`. Heliograph also has the new value.",
        (Column(CHANGED, _asked),),
        (within(CHANGED, 2e-6, "2 us"),),
        base=HELIOGRAPH,
        processes=2,
    )


def _asked() -> list[Candidate]:
    return [repeated(one.tracker.name, _ask(one)) for one in _every() if not isinstance(one.tracker, Plain)]


def _ask(one: Tracked) -> Call:
    order, changes = one.model.objects.first(), one.tracker.changes
    order.status = "paid"
    assert list(changes(order)) == ["status"], f"{one.tracker.name} finds {changes(order)}"
    return lambda: changes(order)


# --- memory ---------------------------------------------------------------------------------------------------


def _memory() -> Group:
    return Group(
        "changes_memory",
        "Changes: memory of an instance",
        "What `tracemalloc` counts for ten thousand loaded instances, for one of them, with the values of its columns.",
        (Column(MEMORY, _measured),),
        (within(MEMORY, 160, "160 bytes", above=PLAIN),),
        base=PLAIN,
        unit="bytes",
    )


def _measured() -> list[Candidate]:
    return [Candidate(one.tracker.name, partial(_bytes, one.model), rounds=1, loops=1) for one in _every()]


def _bytes(model: Any, loops: int) -> float:
    """Return the bytes of one instance."""
    model.objects.first()  # so that what is made once for all is there
    tracemalloc.start()
    loaded = list(model.objects.all())
    gc.collect()
    added, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return added / len(loaded)


# --- where nobody watches -------------------------------------------------------------------------------------


def _unwatched() -> Group:
    rows = (LOAD_FEWER, SAVE)
    return Group(
        "unwatched",
        "Changes: a model nobody watches",
        "The plain model of the tables above, before anything is watched in its process and then while another model"
        " is. The ratio should be 1; what is allowed above it is what two runs of the same differ by.",
        (Column(BEFORE, partial(_plainly, watched=False)), Column(AFTER, partial(_plainly, watched=True))),
        tuple(beside_column(AFTER, BEFORE, 1.02, row) for row in rows),
        base=BEFORE,
        processes=4,
    )


def _plainly(*, watched: bool) -> list[Candidate]:
    unwatched, another = _two()
    if watched:
        _watch(another.model)
    return [
        repeated(LOAD_FEWER, _load(unwatched.model), rounds=600),
        _in_transaction(SAVE, _saving(unwatched.model)),
    ]


@cache
def _watch(model: Any) -> Receiver:
    """Watch a model from now on, and keep what does."""
    (receiver,) = functions(1)
    HeliographChanges().connect(model, receiver)
    return receiver


# --- the models -----------------------------------------------------------------------------------------------


@cache
def _every() -> list[Tracked]:
    """Return a model for each way of keeping track."""
    return _made(peers.trackers(), ROWS)


@cache
def _two() -> list[Tracked]:
    """Return two models of which nobody keeps track."""
    return _made([Plain(), Plain()], FEWER)


def _made(trackers: Sequence[Tracker], rows: int) -> list[Tracked]:
    """Return models with rows, and receivers that are connected."""
    models = [orders.model(f"Order{number}", one.bases(), one.attributes()) for number, one in enumerate(trackers)]
    orders.fill(models, rows)
    made = [Tracked(*one) for one in zip(trackers, models, functions(len(trackers)), strict=True)]
    for one in made:
        one.tracker.connect(one.model, one.receiver)
    return made
