"""Kept fields under concurrent writers: real threads, each with a connection of its own."""

import random
import threading
from contextlib import suppress

import pytest
from django.db import OperationalError, connection, transaction
from django.db.models import Avg, Count, F, Max, Min, Q, Sum

from heliograph.recipes import keep
from heliograph.recipes.verbs import chosen
from tests.app.models import Cart, Item, Shopper

pytestmark = pytest.mark.django_db(transaction=True)

THREADS = 4
is_mysql = connection.vendor == "mysql"
# MariaDB lets a new child share a lock of its parent, so writers of one parent may deadlock; it undoes one of them.
FAILURES = (OperationalError,) if is_mysql else ()


@pytest.fixture
def kept():
    declared = [
        keep(
            Cart,
            items_count=Count("items"),
            dear_count=Count("items", filter=Q(items__is_dear=True)),
            noted_count=Count("items", filter=Q(items__note="yes")),
            total=Sum(F("items__price") * F("items__quantity"), default=0),
            mean_price=Avg("items__price"),
            best_price=Max("items__price"),
            fewest=Min("items__quantity"),
        ),
        keep(Shopper, spent=Sum("carts__total", default=0)),
    ]
    yield
    for declaration in declared:
        declaration.disconnect()


def run(*functions):
    """Run functions in threads at the same time; return what they raise."""
    errors, start = [], threading.Barrier(len(functions))

    def guarded(function):
        try:
            start.wait(60)
            function()
        except Exception as error:
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=guarded, args=(function,)) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors


def drift():
    return [str(one) for subject in chosen([]) for one in subject.verify("default")]


def in_atomic(carts, seed, rounds=15):
    """Insert children of several parents inside atomic, as two requests would."""
    choose = random.Random(seed)

    def work():
        for _ in range(rounds):
            with suppress(*FAILURES), transaction.atomic():
                for cart in choose.sample(carts, 2):
                    Item.objects.create(cart_id=cart.pk, price=choose.randrange(9), quantity=2)

    return work


def mixed(carts, seed, rounds=25):
    """Write in every way, alone and in transactions of which some are rolled back; each thread has its own children."""
    choose = random.Random(seed)
    keys = [cart.pk for cart in carts]
    copies = []

    def one():
        cart, other = choose.choice(keys), choose.choice(keys)
        mine = Item.objects.filter(weight=seed)
        match choose.randrange(8):
            case 0 | 1:
                Item.objects.create(cart_id=cart, price=choose.randrange(9), weight=seed)
            case 2:
                changed_item(cart_id=other).save()
            case 3:
                changed_item(is_dear=choose.choice([True, False]), note=choose.choice(["yes", "no"])).save()
            case 4:
                Item.objects.bulk_create([Item(cart_id=key, price=1, weight=seed) for key in (cart, other)])
            case 5:
                mine.filter(cart=other).update(cart=cart, price=F("price") + 1)
            case 6:
                mine.filter(cart=other).delete()
            case 7:
                changed_item().delete()

    def changed_item(**values):
        item = copies.pop()
        for name, value in values.items():
            setattr(item, name, value)
        return item

    def work():
        for _ in range(rounds):
            found = [*Item.objects.filter(weight=seed)] or [Item(cart_id=keys[0], weight=seed)]
            copies[:] = choose.sample(found * 3, 3)
            with suppress(*FAILURES, ZeroDivisionError, ValueError), transaction.atomic():
                # SQLite refuses a transaction that has read and then writes, if another one has written meanwhile.
                Shopper.objects.filter(pk=0).update(name="")
                for _ in range(choose.randrange(1, 4)):
                    one()
                if choose.randrange(5) == 0:
                    raise ZeroDivisionError

    return work


@pytest.fixture
def carts(kept):
    shoppers = [Shopper.objects.create() for _ in range(2)]
    return [Cart.objects.create(shopper=shoppers[at % 2]) for at in range(6)]


def test_r1_four_threads_that_insert_children_inside_atomic_leave_no_drift(carts):
    assert run(*(in_atomic(carts, seed) for seed in range(THREADS))) == []
    assert drift() == []
    assert sum(Cart.objects.values_list("items_count", flat=True)) == Item.objects.count()


def test_r1_mixed_writers_leave_no_drift(carts):
    Item.objects.bulk_create([Item(cart=cart, price=1, weight=seed) for cart in carts for seed in range(THREADS)])
    assert run(*(mixed(carts, seed) for seed in range(THREADS))) == []
    assert drift() == []


def test_r1_single_writes_to_one_parent_never_deadlock(carts):
    def write():
        for _ in range(20):
            Item.objects.create(cart_id=carts[0].pk, price=1)

    assert run(*[write] * THREADS) == []
    assert Cart.objects.get(pk=carts[0].pk).items_count == 20 * THREADS


def single(carts, seed, rounds=15):
    """Write one thing at a time, in autocommit; each thread has its own children."""
    choose = random.Random(seed)
    keys = [cart.pk for cart in carts]

    def work():
        for _ in range(rounds):
            cart, other = choose.choice(keys), choose.choice(keys)
            mine = Item.objects.filter(weight=seed)
            match choose.randrange(8):
                case 0 | 1:
                    Item.objects.create(cart_id=cart, price=choose.randrange(9), weight=seed)
                case 2:
                    for item in mine.order_by("?")[:1]:
                        item.cart_id = other
                        item.save()
                case 3:
                    for item in mine.order_by("?")[:1]:
                        item.is_dear, item.note = not item.is_dear, choose.choice(["yes", "no"])
                        item.save()
                case 4:
                    Item.objects.bulk_create([Item(cart_id=key, price=1, weight=seed) for key in (cart, other)])
                case 5:
                    # By keys: InnoDB locks rows that it finds by another index in another order than a save does.
                    keys_of_mine = [*mine.filter(cart=other).values_list("pk", flat=True)]
                    Item.objects.filter(pk__in=keys_of_mine).update(price=F("price") + 1)
                case 6:
                    for item in mine.order_by("?")[:1]:
                        item.delete()
                case 7:
                    keys_of_mine = [*mine.filter(cart=other).values_list("pk", flat=True)]
                    Item.objects.filter(pk__in=keys_of_mine).update(cart=cart)

    return work


def test_r1_single_writes_of_every_kind_never_deadlock(carts):
    assert run(*(single(carts, seed) for seed in range(THREADS))) == []
    assert drift() == []
