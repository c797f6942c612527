"""A kept maximum or minimum grows without asking the children, and is computed anew only if the extreme may be gone."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from random import Random

import pytest
from asgiref.sync import SyncToAsync
from django.db import connection, transaction
from django.db.models import F, Max, Min, Q
from django.test.utils import CaptureQueriesContext
from hypothesis import given
from hypothesis import strategies as st

from heliograph.recipes.kept.extremes import Growth, Loss
from heliograph.recipes.kept.kept_fields import kept_field
from heliograph.recipes.kept.work import Work, counted, work_of
from tests.app.models import Cart, Item

MOST = kept_field(Cart, "best_price", Max("items__price", filter=Q(items__is_dear=True)))
LEAST = kept_field(Cart, "fewest", Min("items__quantity"))
NAMES = ("cart", "is_dear", "price", "quantity")

# --- beside a plain model -----------------------------------------------------------------------------------------

children = st.tuples(st.none() | st.integers(1, 2), st.booleans(), st.none() | st.integers(1, 4), st.integers(1, 4))
batches = st.lists(st.tuples(st.integers(1, 4), st.none() | children), max_size=4)
transactions = st.lists(st.lists(batches, max_size=3), max_size=6)


def truth(kept, rows, cart):
    """Compute a kept field the plain way: from all children."""
    ours = [row for row in rows if row[0] == cart]
    if kept is MOST:
        return max((price for _, is_dear, price, _ in ours if is_dear and price), default=None)
    return min((quantity for *_, quantity in ours), default=None)


def after(kept, stored, outcome, rows, cart):
    """Return the stored value after an UPDATE, and whether the children were asked."""
    if isinstance(outcome, Loss):
        stays = stored is not None and kept.extreme.is_beyond(stored, outcome.value)
        return (stored, False) if stays else (truth(kept, rows, cart), True)
    return kept.extreme.best([outcome.value, *([] if stored is None else [stored])]), False


def work_of_batch(rows, batch):
    """Put the rows of a batch into a plain model, and return the work that they make."""
    changes = []
    for key, row in batch:
        changes.append((rows.pop(key, None), row))
        if row is not None:
            rows[key] = row
    return work_of({MOST: True, LEAST: True}, NAMES, counted([pair for pair in changes if pair != (None, None)]))


@given(transactions)
def test_growth_and_loss_come_to_what_all_children_come_to(history):
    rows, stored = {}, {}
    for one in history:
        work = Work().join([work_of_batch(rows, batch) for batch in one]).net()
        for kept, cart, what in work:
            old, outcome = stored.get((kept, cart)), kept.outcome(what)
            stored[kept, cart], has_asked = after(kept, old, outcome, rows.values(), cart)
            assert not has_asked or outcome.value == old
        for kept in (MOST, LEAST):
            for cart in (1, 2):
                assert stored.get((kept, cart)) == truth(kept, rows.values(), cart)


def outcome_of(*changes):
    ((_, _, what),) = work_of({MOST: True}, NAMES, counted([*changes])).net()
    return MOST.outcome(what)


def child(price):
    return (1, True, price, 1)


def test_what_comes_is_growth():
    assert outcome_of((None, child(3)), (None, child(5)), (None, child(None))) == Growth(5)


def test_what_goes_while_something_beyond_it_comes_is_growth():
    assert outcome_of((child(3), None), (None, child(5))) == outcome_of((child(3), child(5))) == Growth(5)


def test_what_goes_may_have_been_the_maximum():
    assert outcome_of((child(5), None)) == Loss(5)
    assert outcome_of((child(5), child(3))) == Loss(5)


def test_what_comes_and_goes_again_is_no_work():
    assert not work_of({MOST: True}, NAMES, counted([(None, child(5)), (child(5), None)])).net()
    works = [
        work_of({MOST: True}, NAMES, counted([one]))
        for one in [(None, child(5)), (child(5), child(7)), (child(7), None)]
    ]
    assert not Work().join(works).net()


def test_joining_leaves_the_parts_as_they_are():
    first, second = (work_of({MOST: True}, NAMES, counted([(None, child(price))])) for price in (3, 5))
    Work().join([first, second])
    assert [MOST.outcome(what) for work in (first, second) for _, _, what in work] == [Growth(3), Growth(5)]


# --- in the database ----------------------------------------------------------------------------------------------


@pytest.fixture
def kept(keeping):
    keeping.keep(
        Cart,
        best_price=Max("items__price", filter=Q(items__is_dear=True)),
        fewest=Min("items__quantity"),
        last_sold_at=Max("items__sold_at"),
        first_sold_on=Min("items__sold_on"),
    )
    return keeping


NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)


def some_values(choose):
    return {
        "price": f"{choose.randrange(4)}.{choose.randrange(10)}0",
        "quantity": choose.randrange(4),
        "is_dear": choose.random() < 0.7,
        "sold_at": choose.choice([None, NOON + timedelta(microseconds=choose.randrange(4))]),
        "sold_on": choose.choice([None, date(2024, 1, 1 + choose.randrange(4))]),
    }


def write(choose, carts):
    """Write once, in some way."""
    cart, other, items = choose.choice(carts), choose.choice(carts), [*Item.objects.all()]
    one = choose.choice(items or [Item(cart=cart)])
    match choose.randrange(9):
        case 0 | 1:
            Item.objects.create(cart=cart, **some_values(choose))
        case 2:
            Item.objects.bulk_create([Item(cart=choose.choice(carts), **some_values(choose)) for _ in range(8)])
        case 3 | 4:
            for name, value in some_values(choose).items():
                setattr(one, name, value)
            one.cart = other
            one.save()
        case 5:
            Item.objects.filter(cart=cart).update(quantity=F("quantity") + 1, price=F("price") + 1)
        case 6:
            Item.objects.filter(cart=cart, quantity__gt=1).update(cart=other, sold_at=None)
        case 7:
            Item.objects.filter(pk=one.pk).delete()
        case 8:
            Item.objects.filter(cart=cart).delete()


@pytest.mark.django_db
@pytest.mark.parametrize("seed", range(12))
def test_random_writes_leave_the_extremes_right(kept, seed):
    choose = Random(seed)
    for _ in range(6):
        Cart.objects.create()
    carts = [*Cart.objects.all()]
    for _ in range(12):
        with transaction.atomic():
            for _ in range(choose.randrange(1, 4)):
                write(choose, carts)
            transaction.set_rollback(choose.randrange(5) == 0)
        assert kept.wrong() == []


@pytest.mark.django_db
def test_a_value_is_what_the_column_stores_however_it_is_assigned(kept):
    cart = Cart.objects.create()
    first = {"price": "1.999", "quantity": "7", "sold_at": "2024-01-01T00:00:00Z", "sold_on": "2024-01-02"}
    other = {"price": 1, "quantity": 9, "sold_at": "2024-01-01T01:00:00+02:00"}
    for values in (first, other):
        Item.objects.create(cart=cart, is_dear=True, **values)
    cart.refresh_from_db()
    assert (str(cart.best_price), cart.fewest) == ("2.00", 7)
    assert (cart.last_sold_at, cart.first_sold_on) == (datetime(2024, 1, 1, tzinfo=UTC), date(2024, 1, 2))
    assert kept.wrong() == []


@pytest.mark.django_db
def test_every_parent_of_many_gets_its_own_extreme(kept):
    for _ in range(20):
        Cart.objects.create()
    carts = [*Cart.objects.order_by("pk")]
    items = [Item(cart=cart, quantity=at + 1, is_dear=True, price=at) for at, cart in enumerate(carts) for _ in "ab"]
    with transaction.atomic():
        Item.objects.bulk_create(items)
        Item.objects.bulk_create([Item(cart=cart, quantity=50, price=50) for cart in carts[::2]])
    assert [*Cart.objects.order_by("pk").values_list("best_price", "fewest")] == [(at, at + 1) for at in range(20)]
    with transaction.atomic():
        Item.objects.filter(cart__in=carts[::2]).update(price=F("price") + 5)
        Item.objects.filter(cart__in=carts[1::4]).delete()
    assert kept.wrong() == []


@pytest.mark.django_db
def test_the_greatest_key_of_the_children_is_kept(keeping):
    keeping.keep(Cart, fewest=Max("items__id"))
    cart, other = Cart.objects.create(), Cart.objects.create()
    first, second, last = (Item.objects.create(cart=cart) for _ in range(3))
    assert Cart.objects.get(pk=cart.pk).fewest == last.pk
    Item.objects.filter(pk=last.pk).update(cart=other)
    assert [*Cart.objects.order_by("pk").values_list("fewest", flat=True)] == [second.pk, last.pk]
    Item.objects.filter(pk=first.pk).update(cart=other)
    assert keeping.wrong() == []


def statements(function):
    """Return the statements of a write that are not about its own row."""
    with CaptureQueriesContext(connection) as queries:
        function()
    words = ("SAVEPOINT", "BEGIN", "COMMIT", "INSERT")
    return [query["sql"] for query in queries if not any(word in query["sql"][:20] for word in words)]


@pytest.mark.django_db
@pytest.mark.skipif(connection.vendor == "mysql", reason="there, parents are locked before their children are written")
def test_growth_asks_no_child_and_takes_no_lock(keeping, monkeypatch):
    loop = asyncio.new_event_loop()
    loop.close()
    # The thread that earlier tests have called from async code keeps their loop, and reads no cached parent for it.
    monkeypatch.setattr(SyncToAsync.threadlocal, "main_event_loop", loop, raising=False)
    keeping.keep(Cart, last_sold_at=Max("items__sold_at"))
    cart = Cart.objects.create()
    sent = statements(lambda: Item.objects.create(cart=cart, sold_at=NOON))
    assert [sql.split()[0] for sql in sent] == ["UPDATE"], sent
    assert "MAX(" not in sent[0]


@pytest.mark.django_db
def test_a_value_that_goes_and_is_not_the_extreme_asks_no_child(kept):
    cart = Cart.objects.create()
    Item.objects.create(cart=cart, quantity=3)
    Cart._base_manager.update(fewest=1)  # past the ORM, so that a value computed anew would be another one
    Item.objects.update(quantity=5)
    assert kept.wrong() == [f"Cart.fewest of {cart.pk} is 1, not 5"]
    Cart._base_manager.update(fewest=5)
    Item.objects.update(quantity=7)
    assert kept.wrong() == []
