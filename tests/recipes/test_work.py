"""The work that changes of children make: computed without a database, and compared with a plain model."""

from collections import Counter
from decimal import Decimal

from django.db.models import Count, F, Q, Sum
from hypothesis import given
from hypothesis import strategies as st

from heliograph import UNKNOWN
from heliograph.recipes.kept.kept_fields import RECOUNT, kept_field
from heliograph.recipes.kept.work import Work, counted, work_of
from tests.app.models import Cart

COUNT = kept_field(Cart, "items_count", Count("items", filter=Q(items__is_dear=True) | ~Q(items__quantity__lt=2)))
GIVEN = kept_field(Cart, "dear_count", Count("items__giver", filter=Q(items__giver__in=[1, 2])))
TOTAL = kept_field(Cart, "total", Sum(F("items__price") * F("items__quantity"), default=0))
NOTED = kept_field(Cart, "noted_count", Count("items", filter=Q(items__note="yes")))
FIELDS = (COUNT, GIVEN, TOTAL, NOTED)
NAMES = ("cart", "giver", "price", "quantity", "is_dear", "note")


def adding(fields):
    """Return the fields as they are kept where Python adds and compares as the database does."""
    return {kept: kept.contribution is not None for kept in fields}


def work_of_changes(fields, changes):
    """Return the work of changes, each a row before and after."""
    pairs = [tuple(None if row is None else tuple(row[name] for name in NAMES) for row in one) for one in changes]
    return work_of(adding(fields), NAMES, counted([pair for pair in pairs if pair != (None, None)]))


rows = st.fixed_dictionaries(
    {
        "cart": st.none() | st.integers(1, 3),
        "giver": st.none() | st.integers(1, 3),
        "price": st.decimals("-9.99", "9.99", places=2),
        "quantity": st.integers(0, 4),
        "is_dear": st.booleans(),
        "note": st.sampled_from(["yes", "no"]),
    }
)
# Each step of a history puts a row under a key, or removes it.
histories = st.lists(st.tuples(st.integers(1, 5), st.none() | rows), max_size=30)


def figures(children):
    """Compute the kept fields the plain way: from all children."""
    found = Counter()
    for row in children.values():
        cart = row["cart"]
        if cart is None:
            continue
        found[COUNT, cart] += bool(row["is_dear"] or not row["quantity"] < 2)
        found[GIVEN, cart] += row["giver"] in (1, 2)
        found[TOTAL, cart] += row["price"] * row["quantity"]
    return {key: value for key, value in found.items() if value}


@given(histories)
def test_deltas_come_to_what_all_children_come_to(history):
    children, changes = {}, []
    for key, row in history:
        changes.append((children.get(key), row))
        children = {other: value for other, value in children.items() if other != key}
        if row is not None:
            children[key] = row
    work = work_of_changes(FIELDS, changes).net()
    assert {(kept, key): what for kept, key, what in work if what is not RECOUNT} == figures(children)


@given(histories)
def test_a_recount_concerns_each_parent_that_a_changed_child_had_or_has(history):
    children, concerned, changes = {}, set(), []
    for key, row in history:
        old = children.pop(key, None)
        if row is not None:
            children[key] = row
        relevant = [None if one is None else (one["cart"], one["note"]) for one in (old, row)]
        if relevant[0] != relevant[1]:
            concerned |= {one["cart"] for one in (old, row) if one is not None and one["cart"] is not None}
        changes.append((old, row))
    work = work_of_changes([NOTED], changes)
    assert {key for _, key, _ in work} == concerned
    assert all(what is RECOUNT for *_, what in work)


@given(st.lists(histories, max_size=4))
def test_joined_work_is_the_work_of_all_changes(parts):
    works = [work_of_changes([TOTAL], [(None, row) for _, row in part if row is not None]) for part in parts]
    together = work_of_changes([TOTAL], [(None, row) for part in parts for _, row in part if row is not None])
    assert Work().join(works).net().parents == together.net().parents


def test_a_recount_outweighs_deltas_before_and_after():
    work = Work()
    for what in (3, RECOUNT, -3):
        work.add(TOTAL, 1, what)
    assert [*work.net()] == [(TOTAL, 1, RECOUNT)]


def test_deltas_that_cancel_each_other_are_no_work():
    work = Work()
    work.add(TOTAL, 1, Decimal("1.10"))
    work.add(TOTAL, 1, Decimal("-1.10"))
    assert not work.net()


def test_an_unknown_value_makes_a_recount():
    row = {"cart": 1, "giver": None, "price": UNKNOWN, "quantity": 1, "is_dear": False, "note": ""}
    assert [*TOTAL.work(None, row, adds=True)] == [(1, RECOUNT)]


def test_a_null_is_in_no_comparison_and_in_no_sum():
    row = {"cart": 1, "giver": None, "price": None, "quantity": 1, "is_dear": None, "note": ""}
    assert [*work_of_changes([COUNT, GIVEN, TOTAL], [(None, row)])] == []


def test_equal_changes_are_computed_once():
    computed = []

    class Counted(Decimal):
        def __mul__(self, other):
            computed.append(other)
            return Decimal(self) * other

    row = (1, None, Counted(2), 3, False, "")
    work = work_of(adding([TOTAL]), NAMES, counted([(None, row)] * 1000))
    assert ([*work], computed) == ([(TOTAL, 1, 6000)], [3])


def test_rows_that_come_to_the_same_are_no_work():
    one, other = (1, None, Decimal(2), 3, False, ""), (1, None, Decimal(3), 3, False, "")
    assert not work_of(adding([COUNT, TOTAL]), NAMES, counted([(one, other), (other, one)]))


def test_values_without_a_hash_count_all_the_same():
    row = (1, None, Decimal(2), 3, False, ["a"])
    work = work_of(adding([COUNT, TOTAL, NOTED]), NAMES, counted([(None, row), (None, row), (row, None)]))
    assert {(kept, key): what for kept, key, what in work} == {(COUNT, 1): 1, (TOTAL, 1): 6, (NOTED, 1): RECOUNT}


def test_one_unknown_value_makes_recounts_of_its_parent_and_leaves_the_others():
    known, unknown = (1, None, Decimal(2), 3, False, ""), (2, None, UNKNOWN, 3, False, "")
    work = work_of(adding([COUNT, TOTAL]), NAMES, counted([(None, known), (None, known), (None, unknown)]))
    assert {(kept, key): what for kept, key, what in work} == {
        (COUNT, 1): 2,
        (COUNT, 2): 1,
        (TOTAL, 1): 12,
        (TOTAL, 2): RECOUNT,
    }
