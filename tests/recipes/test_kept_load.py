"""Kept fields under a load: eight threads write everything to twenty parents, and no figure is wrong.

`HELIOGRAPH_KEPT_WRITES=100000` makes so many writes, where the usual run makes some hundred. The test prints how many
there were, how many seconds they took, and which errors had transactions tried again.
"""

import os
import time
from collections import Counter
from random import Random

import pytest
from django.db import connection, transaction
from django.db.models import Count

from tests.app.models import Cart, Item, Shopper, Wallet
from tests.helpers.threads import at_once
from tests.recipes.mixed_writes import OF_CHILDREN, OF_ONE_CHILD, OF_OTHERS, OF_PARENTS, Writes, keep_all
from tests.recipes.retrying import Retrying
from tests.recipes.tutorial_forms import FORMS

pytestmark = pytest.mark.django_db(transaction=True)

WRITES = int(os.environ.get("HELIOGRAPH_KEPT_WRITES", "160"))
THREADS = 8
PARENTS = 20
# MariaDB has deadlocks where a transaction writes children of several parents, as with F() by hand.
DEADLOCKS = {"deadlock"} if connection.vendor == "mysql" else set()


@pytest.fixture
def parents():
    """Twenty carts of four shoppers, and four wallets."""
    shoppers = [Shopper.objects.create() for _ in range(4)]
    carts = [Cart.objects.create(shopper=shoppers[at % 4]) for at in range(PARENTS)]
    wallets = [Wallet.objects.create(title=f"{at}") for at in range(4)]
    return [[one.pk for one in rows] for rows in (carts, shoppers, wallets)]


class Writer:
    """A thread that writes: alone, and several things in a transaction, of which some are rolled back."""

    def __init__(self, seed, parents, names, sizes, has_givers=True):
        self.choose = Random(seed)
        self.writes = Writes(self.choose, seed, parents, has_givers)
        self.names, self.sizes = names, sizes
        self.retrying = Retrying()

    def __call__(self):
        left = WRITES // THREADS
        while left > 0:
            size = self.choose.choice(self.sizes)
            left -= size
            names = self.choose.choices(self.names, k=size)
            if size == 1:
                self.retrying.run(getattr(self.writes, names[0]))
            else:
                self.transact(names)
            del self.writes.copies[:-5]

    def transact(self, names):
        is_undone = self.choose.random() < 0.15

        def write():
            for name in names:
                getattr(self.writes, name)()
            transaction.set_rollback(is_undone)

        self.retrying.atomic(write)


def load(parents, names, sizes, **options):
    """Let eight threads write; return the errors after which they tried again."""
    writers = [Writer(seed, parents, names, sizes, **options) for seed in range(THREADS)]
    start = time.monotonic()
    at_once(*writers)
    errors = sum((one.retrying.errors for one in writers), Counter())
    print(f"{connection.vendor}: {WRITES} writes, {dict(errors)}, {time.monotonic() - start:.0f} s")
    return errors


@pytest.fixture
def kept(keeping):
    keep_all(keeping)
    return keeping


def test_r1b_eight_threads_that_write_one_child_at_a_time_leave_no_drift_and_never_deadlock(kept, parents):
    assert load(parents, OF_ONE_CHILD, sizes=[1], has_givers=False) == {}
    assert kept.wrong() == []


def test_r1b_eight_threads_that_write_one_thing_of_any_kind_at_a_time_leave_no_drift(kept, parents):
    errors = load(parents, [*OF_CHILDREN, *OF_PARENTS, *OF_OTHERS], sizes=[1])
    assert kept.wrong() == []
    assert {*errors} <= DEADLOCKS


def test_r1b_eight_threads_that_write_transactions_leave_no_drift(kept, parents):
    errors = load(parents, [*OF_CHILDREN, *OF_OTHERS], sizes=[1, 2, 3, 4])
    assert kept.wrong() == []
    assert {*errors} <= DEADLOCKS


def test_control_r1b_the_same_load_leaves_f_by_hand_wrong(connect, parents):
    for signal, receiver in FORMS["add one by F()"]:
        connect(signal, receiver, sender=Item)
    load(parents, [*OF_CHILDREN, *OF_OTHERS], sizes=[1, 2, 3, 4])
    rows = Cart.objects.annotate(truth=Count("items")).values_list("items_count", "truth")
    assert {stored != truth for stored, truth in rows} != {False}
