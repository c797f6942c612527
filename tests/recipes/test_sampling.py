"""The check of samples: a few rows are compared, and a warning says that rows may be older than a declaration."""

from io import StringIO

import pytest
from django.core.checks import run_checks
from django.core.management import call_command
from django.db import connection, models
from django.db.models import Count, Sum
from django.test.utils import CaptureQueriesContext, isolate_apps

from heliograph.recipes import keep_groups
from heliograph.recipes.declarations import check_rows, declare
from heliograph.recipes.kept import verifying
from heliograph.recipes.subjects import Difference, SubjectOfRows
from tests.app.models import Cart, CartFigures, Item

pytestmark = pytest.mark.django_db(databases=["default", "other"])


def warnings(*databases):
    return check_rows(None, databases=[*databases])


def older(count=3, using="default"):
    """Make carts with an item each, before anything is declared."""
    carts = Cart.objects.using(using).bulk_create([Cart() for _ in range(count)])
    Item.objects.using(using).bulk_create([Item(cart=cart, price=2) for cart in carts])
    return carts


def test_figures_that_are_older_than_their_declaration_are_a_warning(keeping):
    carts = older()
    keeping.keep(Cart, items_count=Count("items"))
    (warning,) = warnings("default")
    assert (warning.id, warning.obj, warning.is_serious()) == ("heliograph.W202", "app.Cart.items_count", False)
    assert warning.msg == (
        f"app.Cart.items_count: 3 of 3 sampled rows are wrong, such as: app.Cart.items_count of {carts[0].pk} is 0, not"
        " 1. The declaration may be newer than the rows."
    )
    assert warning.hint == "Fill them: manage.py recipes backfill app.Cart.items_count."


def test_the_hint_has_the_database(keeping):
    older(using="other")
    keeping.keep(Cart, items_count=Count("items"))
    (warning,) = warnings("default", "other")
    assert warning.hint == "Fill them: manage.py recipes backfill app.Cart.items_count --database other."


def test_there_is_a_warning_for_each_field_that_differs_until_it_is_filled(keeping):
    older()
    keeping.keep(
        Cart, items_count=Count("items"), total=Sum("items__price", default=0), dear_count=Count("items__giver")
    )
    assert [one.obj for one in warnings("default")] == ["app.Cart.items_count", "app.Cart.total"]
    call_command("recipes", "backfill", stdout=StringIO())
    assert warnings("default") == []


def test_without_a_database_there_is_no_query(keeping):
    older()
    keeping.keep(Cart, items_count=Count("items"))
    with CaptureQueriesContext(connection) as queries:
        assert (check_rows(None), check_rows(None, databases=None)) == ([], [])
    assert [*queries] == []


def test_the_first_and_the_last_rows_are_compared(keeping):
    carts = older(250)
    keeping.keep(Cart, items_count=Count("items"))
    call_command("recipes", "backfill", stdout=StringIO())
    for at, is_seen in [(0, True), (99, True), (100, False), (149, False), (150, True), (249, True)]:
        Cart._base_manager.filter(pk=carts[at].pk).update(items_count=7)
        messages = [one.msg for one in warnings("default")]
        assert [message.partition(" sampled")[0] for message in messages] == (
            ["app.Cart.items_count: 1 of 200"] if is_seen else []
        )
        Cart._base_manager.filter(pk=carts[at].pk).update(items_count=1)


def test_fewer_rows_are_compared_if_they_have_many_children(keeping, monkeypatch):
    carts = older(40)
    keeping.keep(Cart, items_count=Count("items"))
    monkeypatch.setattr(verifying, "FEW", 39)
    assert warnings("default")[0].msg.startswith("app.Cart.items_count: 20 of 20 sampled")
    monkeypatch.setattr(verifying, "FEW", 19)
    assert warnings("default")[0].msg.startswith("app.Cart.items_count: 2 of 2 sampled")
    Item.objects.bulk_create([Item(cart=carts[0]) for _ in range(19)])
    assert warnings("default") == []


def test_a_sample_takes_four_queries(keeping):
    older()
    keeping.keep(Cart, items_count=Count("items"))
    with CaptureQueriesContext(connection) as queries:
        warnings("default")
    assert len([query for query in queries if "SAVEPOINT" not in query["sql"]]) == 4


def test_groups_without_a_row_are_a_warning():
    cart, *_ = older()
    declaration = keep_groups(Item, into=CartFigures, by={"cart": "cart"}, items=Count("*"))
    try:
        (warning,) = warnings("default")
        assert warning.msg.startswith("app.CartFigures.items: 3 of 3 sampled rows are wrong, such as: ")
        Item.objects.create(cart=cart)  # which makes the row of its group
        assert warnings("default")[0].msg.startswith("app.CartFigures.items: 2 of 4 sampled rows are wrong")
        call_command("recipes", "backfill", stdout=StringIO())
        assert warnings("default") == []
    finally:
        declaration.disconnect()


class Ghosts(SubjectOfRows):
    def differences(self, using, keys):
        return [Difference(self.label, key, "there", "missing") for key in keys]


@isolate_apps("tests.app")
def test_a_table_that_is_not_migrated_yet_is_passed_over_in_silence(keeping):
    class Ghost(models.Model):
        class Meta:
            app_label = "app"

    def connect(declaration):
        declaration.subjects = (Ghosts("app.Ghost", Ghost), Ghosts("app.Cart.title", Cart))

    declaration, (cart,) = declare("haunt()", connect), older(1)
    try:
        assert [one.obj for one in warnings("default")] == ["app.Cart.title"]
        assert Cart.objects.get() == cart  # the transaction goes on
    finally:
        declaration.disconnect()


def test_the_command_check_warns_and_does_not_fail(keeping):
    older()
    keeping.keep(Cart, items_count=Count("items"))
    out = StringIO()
    call_command("check", tags=["database"], databases=["default"], stdout=out, stderr=out)
    assert "heliograph.W202" in out.getvalue()
    assert "heliograph.W202" not in [one.id for one in run_checks()]
