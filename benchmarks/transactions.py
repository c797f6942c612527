"""The end of a transaction: what receivers that wait for it cost, and what they save."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial
from itertools import cycle
from time import perf_counter
from typing import Any

from benchmarks import pristine
from benchmarks.facts import Candidate, Column, Group, beside_column, beside_django
from benchmarks.receivers import Receiver
from benchmarks.timing import Call, once, repeated
from heliograph import BeforeCommit, Inline, OnCommit, Signal
from heliograph import receiver as connected

ORDERS, LINES = 10, 1_000
EVENTS, SAVES = 100, 5  # in one transaction

AT_ONCE, INLINE, BATCH = "Django, at once", "Heliograph, Inline()", "Heliograph, BeforeCommit(batch=True)"
ROWS = "1,000 rows"

BY_HAND, BY_HAND_HERE = "Django, on_commit(partial(...))", "Heliograph, on_commit(partial(...))"
ON_COMMIT = "Heliograph, OnCommit()"
SAVE, SEND = "save()", "send()"

IN_TRANSACTION, IN_AUTOCOMMIT = "atomic() with 5 saves", "save() in autocommit"
BEFORE, AFTER = "nobody waits", "others wait"


def groups() -> Iterator[Group]:
    """Yield the groups of this file."""
    yield _transactions()
    yield _queries()
    yield _on_commit()
    yield _without_receivers()


# --- a thousand rows, and what is computed from them ------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Shop:
    """Orders with their lines, and the receiver that keeps their totals right."""

    name: str
    order: Any
    line: Any
    atomic: Callable[[], Any]
    receiver: Receiver


def _transactions() -> Group:
    return Group(
        "transactions",
        "Transactions: a thousand rows",
        "A thousand lines of ten orders are saved in one transaction, in a SQLite database in memory. A receiver of"
        " `post_save` computes the total of an order anew, by an aggregate and an update: for each line, or once for"
        " each order in the batch. The first row is Django as it ships, with its own dispatcher and without any patch.",
        (Column(ROWS, _saved),),
        base=AT_ONCE,
    )


def _queries() -> Group:
    return Group(
        "transactions_queries",
        "Transactions: queries of a thousand rows",
        "The queries in the transaction of the table above, with its BEGIN and COMMIT.",
        (Column(ROWS, _counted),),
        base=AT_ONCE,
        unit="queries",
    )


def _saved() -> list[Candidate]:
    return [once(shop.name, partial(_saving_all, shop), rounds=8) for shop in _shops()]


def _counted() -> list[Candidate]:
    return [Candidate(shop.name, partial(_queries_of, shop), rounds=1, loops=1) for shop in _shops()]


def _saving_all(shop: Shop) -> Call:
    gc.collect()  # what the round before has left in cycles
    lines = list(shop.line.objects.all())

    def save() -> None:
        with shop.atomic():
            for line in lines:
                line.amount += 1
                line.save()

    return save


def _queries_of(shop: Shop, loops: int) -> float:
    """Return the number of queries."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    save = _saving_all(shop)
    with CaptureQueriesContext(connection) as queries:
        save()
    totals = [*shop.order.objects.values_list("total", flat=True)]
    assert totals == [2 * LINES // ORDERS] * ORDERS, f"{shop.name} comes to {totals}"
    return len(queries)


@cache
def _shops() -> list[Shop]:
    from django.db.models.signals import post_save
    from django.db.transaction import atomic

    batch = BeforeCommit(batch=True)
    return [
        _shop(
            AT_ONCE,
            pristine.model_signals().post_save.connect,
            _at_once,
            pristine.transaction().atomic,
            pristine.saving(),
        ),
        _shop(INLINE, partial(_connect, post_save, delivery=Inline()), _at_once, atomic),
        _shop(BATCH, partial(_connect, post_save, delivery=batch), _for_batch, atomic),
    ]


def _shop(
    name: str,
    connect: Callable[..., None],
    receive: Callable[[Any, Any], Receiver],
    atomic: Callable[[], Any],
    attributes: Mapping[str, Any] = {},
) -> Shop:
    order, line = _models(attributes)
    receiver = receive(order, line)
    connect(receiver, sender=line)
    return Shop(name, order, line, atomic, receiver)


def _at_once(order: Any, line: Any) -> Receiver:
    def receive(sender: Any, instance: Any, **kwargs: Any) -> None:
        _compute(order, line, instance.order_id)

    return receive


def _for_batch(order: Any, line: Any) -> Receiver:
    def receive(sender: Any, batch: Any, **kwargs: Any) -> None:
        for key in {one.order_id for one in batch.instances}:
            _compute(order, line, key)

    return receive


def _compute(order: Any, line: Any, key: int) -> None:
    from django.db.models import Sum

    sums = line.objects.filter(order_id=key).aggregate(total=Sum("amount"))
    order.objects.filter(pk=key).update(**sums)


# --- after the commit -------------------------------------------------------------------------------------------


def _on_commit() -> Group:
    return Group(
        "on_commit",
        "Transactions: after the commit",
        "A hundred saves, or sends of a signal with an instance, in one transaction with its begin and its end; the"
        " time is for one of them. A function that does nothing is called with each instance after the commit: handed"
        " to Django's `transaction.on_commit` by a receiver, or connected with `delivery=OnCommit()`. The first row is"
        " Django as it ships, with its own dispatcher and without any patch; the second one is the same receiver in a"
        " process where that of the third one is.",
        (Column(SAVE, _saving), Column(SEND, _sending)),
        tuple(beside_django(column, 1.3, ON_COMMIT) for column in (SAVE, SEND)),
        base=BY_HAND,
        processes=2,
    )


def _saving() -> list[Candidate]:
    from django.db.models.signals import post_save
    from django.db.transaction import atomic

    by_hand = pristine.model_signals().post_save.connect, pristine.transaction().atomic, pristine.saving()
    return [
        _saving_one(BY_HAND, _by_hand(), *by_hand),
        _saving_one(BY_HAND_HERE, _by_hand(), post_save.connect, atomic),
        _saving_one(ON_COMMIT, _receiving(), partial(_connect, post_save, delivery=OnCommit()), atomic),
    ]


def _saving_one(
    name: str,
    receiver: Receiver,
    connect: Callable[..., None],
    atomic: Callable[[], Any],
    attributes: Mapping[str, Any] = {},
) -> Candidate:
    _, line = _models(attributes)
    connect(receiver, sender=line)
    return _in_transaction(name, atomic, _save(line), 60, EVENTS, receiver)


def _save(line: Any) -> Call:
    lines = cycle(line.objects.all()[:EVENTS])
    return lambda: next(lines).save()


def _sending() -> list[Candidate]:
    from django.db.transaction import atomic

    django, here, signal = pristine.dispatcher().Signal(use_caching=True), Signal(), Signal()
    return [
        _sending_one(BY_HAND, _by_hand(), django, django.connect, pristine.transaction().atomic),
        _sending_one(BY_HAND_HERE, _by_hand(), here, here.connect, atomic),
        _sending_one(ON_COMMIT, _receiving(), signal, partial(_connect, signal, delivery=OnCommit()), atomic),
    ]


def _sending_one(
    name: str, receiver: Receiver, signal: Any, connect: Callable[..., None], atomic: Callable[[], Any]
) -> Candidate:
    model, instance = _sent()
    connect(receiver, sender=model)
    return _in_transaction(name, atomic, lambda: signal.send(sender=model, instance=instance), 300, EVENTS, receiver)


@cache
def _sent() -> tuple[Any, Any]:
    _, line = _models()
    return line, line.objects.first()


def _by_hand() -> Receiver:
    """Return a receiver that hands a function to Django, for after the commit."""
    from django.db import transaction

    def call(instance: Any) -> None:
        pass

    def receive(sender: Any, instance: Any, **kwargs: Any) -> None:
        transaction.on_commit(partial(call, instance))

    return receive


def _receiving() -> Receiver:
    """Return a receiver that is to be called after the commit."""

    def receive(sender: Any, instance: Any, **kwargs: Any) -> None:
        pass

    return receive


# --- where nobody waits -----------------------------------------------------------------------------------------


def _without_receivers() -> Group:
    rows = (IN_TRANSACTION, IN_AUTOCOMMIT)
    return Group(
        "without_receivers",
        "Transactions: a model nobody listens to",
        "A model without receivers, before anybody in its process waits for the end of a transaction, and then while"
        " receivers of another model do, with `BeforeCommit()` and with `OnCommit()`. The time of a transaction is for"
        " one save, with its begin and its end. The ratio should be 1; what is allowed above it is what two runs of the"
        " same differ by.",
        (
            Column(BEFORE, partial(_saves_without_receivers, waits=False)),
            Column(AFTER, partial(_saves_without_receivers, waits=True)),
        ),
        tuple(beside_column(AFTER, BEFORE, 1.02, row) for row in rows),
        base=BEFORE,
        processes=6,
    )


def _saves_without_receivers(*, waits: bool) -> list[Candidate]:
    from django.db.transaction import atomic

    if waits:
        _waiting()
    save = _save(_sent()[0])
    return [
        _in_transaction(IN_TRANSACTION, atomic, save, 600, SAVES),
        repeated(IN_AUTOCOMMIT, save, rounds=600),
    ]


@cache
def _waiting() -> list[Receiver]:
    """Wait for the end of transactions from now on, and return what does."""
    from django.db.models.signals import post_save

    _, another = _models()
    receivers = [_receiving(), _receiving()]
    for receiver, policy in zip(receivers, (BeforeCommit(), OnCommit()), strict=True):
        _connect(post_save, receiver, another, delivery=policy)
    return receivers


# --- transactions and models ------------------------------------------------------------------------------------


def _in_transaction(
    name: str, atomic: Callable[[], Any], call: Call, rounds: int, loops: int, keeps: object = None
) -> Candidate:
    """Return a candidate each of whose rounds is one transaction, with its begin and its end."""
    return Candidate(name, partial(_timed, atomic, repeated(name, call).run), rounds, loops, keeps)


def _timed(atomic: Callable[[], Any], run: Callable[[int], float], loops: int) -> float:
    start = perf_counter()
    with atomic():
        run(loops)
    return (perf_counter() - start) / loops


def _connect(signal: Any, receiver: Receiver, sender: Any, **options: Any) -> None:
    """Connect a receiver as users do."""
    connected(signal, sender=sender, **options)(receiver)


_numbers = iter(range(100))


def _models(attributes: Mapping[str, Any] = {}) -> tuple[Any, Any]:
    """Return new models of orders and their lines, with rows; the lines have these attributes as well."""
    from django.db import connection, models

    number = next(_numbers)
    order = _made(f"Order{number}", {"total": models.IntegerField(default=0)})
    key = models.ForeignKey(order, models.CASCADE, related_name="+")
    line = _made(f"Line{number}", {"order": key, "amount": models.IntegerField(), **attributes})
    with connection.schema_editor() as schema:
        schema.create_model(order)
        schema.create_model(line)
    parents = order.objects.bulk_create([order() for _ in range(ORDERS)])
    line.objects.bulk_create([line(order=parents[place % ORDERS], amount=1) for place in range(LINES)])
    return order, line


def _made(name: str, attributes: Mapping[str, Any]) -> Any:
    from django.db.models import Model

    meta = type("Meta", (), {"app_label": "benchmarks"})
    return type(name, (Model,), {"__module__": __name__, "Meta": meta, **attributes})
