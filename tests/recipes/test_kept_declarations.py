"""Declarations of kept fields: what is refused where it is typed, with what, which one, and what to do."""

import datetime
import re

import django
import pytest
from django.db.models import (
    Avg,
    Case,
    Count,
    Exists,
    F,
    Max,
    Min,
    OuterRef,
    Q,
    StdDev,
    Subquery,
    Sum,
    Value,
    When,
)
from django.db.models.expressions import RawSQL
from django.db.models.functions import Coalesce, Lower, Now, Random

from heliograph import trace
from heliograph.dispatch import Skipped
from heliograph.flow.listing import lines
from heliograph.flow.receiver_filters import Filters
from heliograph.recipes import keep
from heliograph.recipes.declarations import declarations
from heliograph.recipes.kept.checks import check_kept_fields
from heliograph.recipes.kept.kept_fields import kept_field
from tests.app import models
from tests.app.models import Cart, Essay, Genre, Item, Node, Novel, Shopper

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _nothing_stays():
    before = [*declarations]
    yield
    for one in declarations[:]:
        if one not in before:
            one.disconnect()


def described(declared, model=Cart, name="items_count"):
    return kept_field(model, name, declared)


# --- what is described --------------------------------------------------------------------------------------------


def test_the_relation_is_cut_from_every_path():
    kept = described(
        Sum(F("items__price") * F("items__quantity"), filter=Q(items__note="x") | ~Q(items__cart=3), default=0)
    )
    assert (kept.parent, kept.child, kept.cut.key.name) == (Cart, Item, "cart")
    assert repr(kept.cut.argument) == repr(F("price") * F("quantity"))
    assert kept.cut.condition == Q(note="x") | ~Q(cart=3)
    assert kept.columns == ("cart", "note", "price", "quantity")


def test_the_declared_aggregate_stays_as_it_was_written():
    declared = Count("items", filter=Q(items__is_dear=True))
    before = repr(declared)
    described(declared)
    assert repr(declared) == before


@pytest.mark.parametrize(
    ("declared", "condition"),
    [
        (Count("items", filter=Q(items=5)), Q(pk=5)),
        (Count("items", filter=Q(items__in=[5])), Q(pk__in=[5])),
        (Count("items", filter=Q(items__cart_id=5)), Q(cart=5)),
        (Count("items", filter=Q(items__sold_at__year=2024)), Q(sold_at__year=2024)),
        (Count("items", filter=Q(items__price__gt=F("items__quantity"))), Q(price__gt=F("quantity"))),
    ],
)
def test_a_condition_is_about_the_child(declared, condition):
    assert described(declared).cut.condition == condition


@pytest.mark.parametrize(
    ("declared", "kind"),
    [
        (Count("items"), "delta"),
        (Count("items__giver"), "delta"),
        (Count("items", filter=Q(items__is_dear=True, items__quantity__gte=2)), "delta"),
        (Count("items", filter=~Q(items__is_dear=True)), "delta"),
        (Sum(F("items__price") * 2 - F("items__quantity"), default=0), "delta"),
        (Count("items", distinct=True), "recount"),
        (Count("items", filter=Q(items__note="yes")), "recount"),
        (Count("items", filter=Q(items__sold_at__gt=datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC))), "recount"),
        (Count("items", filter=~Q(items__giver=5)), "recount"),
        (Count("items", filter=Q(items__is_dear=True) ^ Q(items__quantity=2)), "recount"),
        (Count(Lower("items__note")), "recount"),
        (Sum("items__price"), "recount"),
        (Sum("items__price", default=5), "recount"),
        (Sum("items__weight", default=0), "recount"),
        (Sum(F("items__price") / 2, default=0), "recount"),
        (Avg("items__price"), "recount"),
        (Max("items__price"), "recount"),  # of decimals, in a field of integers
    ],
)
def test_a_delta_is_what_python_computes_as_the_database_does(declared, kind):
    assert described(declared).kind == kind


@pytest.mark.parametrize(
    ("name", "declared", "kind"),
    [
        ("best_price", Max("items__price"), "growth"),
        ("best_price", Max("items__price", filter=Q(items__is_dear=True)), "growth"),
        ("fewest", Min("items__quantity"), "growth"),
        ("fewest", Max("items__id"), "growth"),
        ("last_sold_at", Max("items__sold_at"), "growth"),
        ("first_sold_on", Min("items__sold_on"), "growth"),
        ("best_price", Max("items__price", default=0), "recount"),
        ("best_price", Max(F("items__price") * 2), "recount"),
        ("best_price", Max("items__quantity"), "recount"),
        ("best_price", Max("items__price", filter=Q(items__note="yes")), "recount"),
        ("fewest", Max("items__giver"), "recount"),
        ("fewest", Max("items"), "recount"),
        ("mean_price", Max("items__weight"), "recount"),
        ("title", Max("items__note"), "recount"),
        ("last_sold_at", Max("items__sold_on"), "recount"),
    ],
)
def test_a_maximum_grows_where_python_orders_values_as_the_database_does(name, declared, kind):
    assert described(declared, name=name).kind == kind


# --- what is refused ----------------------------------------------------------------------------------------------

REFUSED = [
    (Count("*"), "Count('*') counts one row for a parent without children. Count the relation: Count('comments')."),
    (Count("item"), "app.Cart has no relation 'item'. Did you mean 'items'?"),
    (
        Count("items", filter=Q(note="yes")),
        "app.Cart has no relation 'note'. Write 'items__note': all names begin at the parent.",
    ),
    (Sum("title"), "'title' is a field of app.Cart itself. Aggregate fields of the children: Sum('items__price')."),
    (
        Sum("shopper__gifts__price"),
        "'shopper' is a field of app.Cart itself. Aggregate fields of the children: Sum('items__price').",
    ),
    (
        Count("items__giver__carts"),
        "'items__giver__carts' leads through 'giver' to a third table, whose changes would go unseen. Keep the value in"
        " a field of the children, and aggregate that.",
    ),
    (
        Count("items__giver__name"),
        "'items__giver__name' leads through 'giver' to a third table, whose changes would go unseen. Keep the value in"
        " a field of the children, and aggregate that.",
    ),
    (
        Count("items__wrappeditem"),
        "'items__wrappeditem' leads through 'wrappeditem' to a third table, whose changes would go unseen. Keep the"
        " value in a field of the children, and aggregate that.",
    ),
    (Sum("items__prize"), "app.Item has no field 'prize'. Did you mean 'price'?"),
    (
        Coalesce(Sum("items__price"), 0),
        "Coalesce stands around the aggregate. Give the value to the aggregate: Sum(..., default=...).",
    ),
    (
        Sum("items__price") + 1,
        "CombinedExpression stands around the aggregate. Keep Sum(F(items__price)) by itself, and compute the rest"
        " where you read it.",
    ),
    (
        F("items__price"),
        "F(items__price) is none of Django's aggregates that can be kept. Use Count, Sum, Avg, Min, Max, StdDev,"
        " Variance.",
    ),
    (
        Sum(Coalesce("items__price", 10)),
        "Coalesce(F(items__price), Value(10)) may have a value where a parent has no children, and Django's annotation"
        " counts it. Aggregate a field of the children, and choose the children by filter=.",
    ),
    (
        Count(Value(1), filter=Q(items__giver=None)),
        "Value(1) may have a value where a parent has no children, and Django's annotation counts it. Aggregate a field"
        " of the children, and choose the children by filter=.",
    ),
    (
        Sum(Case(When(items__is_dear=True, then=1), default=0)),
        "may have a value where a parent has no children, and Django's annotation counts it.",
    ),
    (
        Max(Now()),
        "Now() may have another value although no child is written. Use fields of the children, combined by +, -, * and"
        " /.",
    ),
    (Sum(F("items__price") * Random()), "Random() may have another value although no child is written."),
    (Sum(RawSQL("1", ())), "RawSQL(1, ()) may have another value although no child is written."),
    (Sum(Subquery(Item.objects.values("price"))), "Subquery may have another value although no child is written."),
    (
        Count("items", filter=Q(items__sold_at__lt=Now())),
        "Now() may have another value although no child is written. Use fields of the children, combined by +, -, * and"
        " /.",
    ),
    (
        Count("items", filter=Q(items__giver__in=Shopper.objects.all())),
        "Its filter has a query, whose result may be another one although no child is written. Compare with values, or"
        " keep a field of the children that says it.",
    ),
    (
        Count("items", filter=Exists(Item.objects.filter(cart=OuterRef("pk")))),
        "Its filter Exists is no Q(). Write it as Q(comments__is_public=True).",
    ),
    (Count("items", filter=Q(title="x")), "'title' is a field of app.Cart itself."),
    (Sum("items__price", default=F("total")), "Its default is an expression. Give a value: default=0."),
]


@pytest.mark.parametrize(("declared", "text"), REFUSED)
def test_what_cannot_be_kept_right_is_refused_where_it_is_declared(declared, text):
    with pytest.raises(TypeError) as raised:
        keep(Cart, items_count=declared)
    assert str(raised.value).startswith("keep(app.Cart, items_count=")
    assert f") cannot be kept right. {text}" in str(raised.value) or text in str(raised.value)
    assert declarations == []


def test_two_relations_in_one_aggregate_are_refused():
    with pytest.raises(TypeError) as raised:
        keep(Shopper, spent=Sum(F("gifts__price") + F("carts__total"), default=0))
    assert str(raised.value).endswith(
        "cannot be kept right. It aggregates over two relations, 'gifts' and 'carts', whose rows multiply. Declare a"
        " field for each."
    )


def test_a_many_to_many_relation_is_refused():
    with pytest.raises(TypeError) as raised:
        keep(Genre, name=Count("novels"))
    assert str(raised.value).endswith(
        "'novels' is a many-to-many relation. Give it a through= model of your own, and aggregate over the relation to"
        " that: Count('memberships')."
    )


def test_a_generic_relation_is_refused():
    with pytest.raises(TypeError) as raised:
        keep(Essay, name=Count("remarks"))
    assert str(raised.value).endswith(
        "'remarks' is a generic relation, whose rows no foreign key ties to app.Essay. Give the children a ForeignKey"
        " to app.Essay."
    )


def test_the_table_of_an_inheriting_model_is_refused():
    with pytest.raises(TypeError) as raised:
        keep(Item, quantity=Count("wrappeditem"))
    assert str(raised.value).endswith(
        "'wrappeditem' is the table of a child by inheritance. Aggregate over a foreign key."
    )


FIELDS = [
    (Cart, "item_count", Count("items"), "app.Cart has no field 'item_count'. Did you mean 'items_count'?"),
    (
        Cart,
        "comments",
        Count("items"),
        "app.Cart has no field 'comments'. Add it to the model: comments = models.IntegerField(default=0).",
    ),
    (Cart, "shopper", Count("items"), "app.Cart.shopper is no plain column. Keep it in a field such as"),
    (
        Cart,
        "title",
        Count("items"),
        "A count is an integer, and app.Cart.title is a CharField. Make it an IntegerField.",
    ),
    (
        Cart,
        "title",
        Sum("items__price", default=0),
        "Sum is a number, and app.Cart.title is a CharField. Make it a FloatField or a DecimalField.",
    ),
    (
        Cart,
        "items_count",
        Avg("items__price", default=0),
        "Avg has fractions, and app.Cart.items_count is an IntegerField. Make it a FloatField or a DecimalField.",
    ),
    (
        Cart,
        "total",
        Sum("items__price"),
        "Sum of no children is NULL, and app.Cart.total cannot be NULL. Give it null=True, or say Sum(..., default=0).",
    ),
    (
        Cart,
        "total",
        StdDev("items__price"),
        "StdDev of no children is NULL, and app.Cart.total cannot be NULL. Give it null=True, or say StdDev(...,"
        " default=0).",
    ),
    (
        Cart,
        "items_count",
        Sum("items__price", default=0),
        "The values have 2 decimal places, and app.Cart.items_count has 0. Give it decimal_places=2.",
    ),
    (
        Cart,
        "total",
        Sum(F("items__price") * F("items__price"), default=0),
        "The values have 4 decimal places, and app.Cart.total has 2. Give it decimal_places=4.",
    ),
    (
        Cart,
        "total",
        Sum("items__weight", default=0),
        "Sum(F(items__weight)) may have any number of decimals, and app.Cart.total does not. Make it a"
        " FloatField, or sum integers and decimals by +, - and *.",
    ),
]


@pytest.mark.parametrize(("model", "name", "declared", "text"), FIELDS)
def test_a_field_that_cannot_have_the_value_is_refused(model, name, declared, text):
    with pytest.raises(TypeError) as raised:
        keep(model, **{name: declared})
    assert text in str(raised.value)
    assert declarations == []


def test_a_count_in_a_nullable_field_is_refused():
    with pytest.raises(TypeError) as raised:
        keep(Novel, writer=Count("reading"))
    assert "is no plain column" in str(raised.value)
    with pytest.raises(TypeError) as raised:
        keep(Cart, mean_price=Count("items"))
    assert "app.Cart.mean_price may be NULL, and a count never is. Give it default=0 and not null=True." in str(
        raised.value
    )


def test_a_second_declaration_of_a_field_is_refused_with_the_place_of_the_first():
    first = keep(Cart, items_count=Count("items"))
    with pytest.raises(TypeError) as raised:
        keep(Cart, items_count=Count("items", filter=Q(items__is_dear=True)))
    assert f"app.Cart.items_count is kept already, as declared at {first.line}. Remove one of the two" in str(
        raised.value
    )
    assert re.search(r"test_kept_declarations\.py:\d+$", first.line)


def test_a_field_that_is_computed_from_itself_is_refused():
    with pytest.raises(TypeError) as raised:
        keep(Node, children_count=Sum("children__children_count", default=0))
    assert "'children_count' would be computed from itself, by way of keep(app.Node, children_count=" in str(
        raised.value
    )


@pytest.mark.skipif(django.VERSION < (6, 1), reason="the database deletes from Django 6.1 on")
def test_children_that_the_database_deletes_are_refused():
    with pytest.raises(TypeError) as raised:
        keep(models.Till, receipts_count=Count("receipts"))
    assert str(raised.value).endswith(
        "app.Receipt.page has on_delete=DB_CASCADE: the database writes children by itself, and no signal is sent."
        " Let Django do it: on_delete=CASCADE."
    )


def test_what_is_no_model_is_refused():
    with pytest.raises(TypeError, match=re.escape("keep() takes a model, or its name, such as keep('blog.Post', ...)")):
        keep(Cart.objects, items_count=Count("items"))
    with pytest.raises(TypeError, match=re.escape("keep() has no field to keep. Name one: keep(Post, comment_count=")):
        keep(Cart)


def test_a_positive_integer_field_deserves_a_warning():
    keep(Cart, positive=Count("items"))
    (warning,) = check_kept_fields(None)
    assert (warning.id, warning.msg) == (
        "heliograph.W201",
        "app.Cart.positive is a PositiveIntegerField: if its value is ever too low, deleting a child is an error of the"
        " database.",
    )
    assert warning.hint == "Make it an IntegerField; `manage.py recipes verify` finds values that are wrong."


@pytest.mark.django_db
def test_a_save_of_a_parent_says_why_the_receiver_of_moved_parents_is_not_called():
    keep(Cart, items_count=Count("items"))
    with trace() as flow:
        Cart.objects.create().save()
    events = (node.event for node in flow.tree.nodes())
    reasons = {str(event.reason) for event in events if isinstance(event, Skipped)}
    assert "the write is no bulk write of id" in reasons


def test_lists_name_each_receiver_by_its_fields(keeping):
    keeping.keep(Shopper, carts_count=Count("carts"), spent=Sum("carts__total", default=0))
    name = r"  heliograph\.recipes\.kept\.\w+\.keep\(app\.Shopper\.carts_count, app\.Shopper\.spent\) "
    made = [line for line in lines(Filters()) if "tests/helpers/keeping.py" in line]
    assert len(made) == 6
    assert [line for line in made if not re.match(name, line)] == []
