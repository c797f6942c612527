"""The command `recipes`: kept fields are listed, compared with their truth, mended and filled."""

import io
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models import Avg, Count, F, FloatField, Sum, Value
from django.db.models.functions import Cast

from heliograph.recipes import keep, subjects
from heliograph.recipes.kept.verifying import SubjectOfField
from heliograph.recipes.verbs import on_terminal
from tests.app.models import Cart, Item, Shopper

pytestmark = pytest.mark.django_db


@pytest.fixture
def declared():
    found = [
        keep(Cart, items_count=Count("items"), total=Sum("items__price", default=0), mean_price=Avg("items__price")),
        keep(Shopper, carts_count=Count("carts")),
    ]
    yield found
    for one in found:
        one.disconnect()


@pytest.fixture
def carts(declared):
    carts = [Cart.objects.create() for _ in range(3)]
    Item.objects.bulk_create([Item(cart=cart, price=2) for cart in carts])
    return carts


def run(*arguments):
    """Return the exit status and the lines of the command."""
    out, status = StringIO(), 0
    try:
        call_command("recipes", *arguments, stdout=out, stderr=out)
    except SystemExit as end:
        status = end.code
    return status, out.getvalue().splitlines()


def spoil(cart, **values):
    Cart._base_manager.filter(pk=cart.pk).update(**values)


def test_list_shows_each_declaration_with_file_and_line(declared):
    status, lines = run("list")
    assert status == 0
    assert lines[0].startswith("keep(app.Cart, items_count=Count(F(items)), total=")
    assert lines[0].endswith(f"  {declared[0].line.rpartition('/tests/')[2]}".replace("  ", "  tests/"))
    assert lines[1:4] == [
        "    app.Cart.items_count: delta, from app.Item (cart)",
        "    app.Cart.total: delta, from app.Item (cart, price)",
        "    app.Cart.mean_price: recount, from app.Item (cart, price)",
    ]


def test_list_says_that_there_is_none():
    assert run("list") == (0, ["No recipe is declared."])


def test_verify_is_silent_about_values_that_are_right(carts):
    assert run("verify") == (0, ["4 verified, 0 wrong"])


def test_r1_verify_prints_what_differs_and_its_status_is_1(carts):
    spoil(carts[1], items_count=7)
    assert run("verify") == (
        1,
        [f"app.Cart.items_count of {carts[1].pk} is 7, not 1", "4 verified, 1 wrong"],
    )


def test_r1_verify_repair_mends_what_differs(carts):
    spoil(carts[1], items_count=7, total=5, mean_price=None)
    status, lines = run("verify", "--repair")
    assert (status, lines[0], lines[-1]) == (
        0,
        f"app.Cart.items_count of {carts[1].pk} is 7, not 1, and is mended",
        "4 verified, 3 mended",
    )
    assert run("verify")[0] == 0


def test_labels_choose_an_app_a_model_or_a_field(carts):
    spoil(carts[1], items_count=7, total=5)
    assert run("verify", "app.Cart.total")[1][-1] == "1 verified, 1 wrong"
    assert run("verify", "app.Cart")[1][-1] == "3 verified, 2 wrong"
    assert run("verify", "app.shopper", "app.Cart.total")[1][-1] == "2 verified, 1 wrong"
    assert run("verify", "app")[1][-1] == "4 verified, 2 wrong"


def test_a_label_of_no_kept_field_is_an_error(carts):
    with pytest.raises(CommandError) as raised:
        run("verify", "app.Cart.tot")
    assert str(raised.value) == (
        "There is nothing to verify of 'app.Cart.tot'. There are: app.Cart.items_count, app.Cart.total, app.Cart.mean"
        "_price, app.Shopper.carts_count."
    )


@pytest.mark.skipif(connection.vendor != "sqlite", reason="other databases round what a column of decimals stores")
def test_verify_finds_a_float_that_django_shows_rounded(carts):
    Cart._base_manager.filter(pk=carts[0].pk).update(total=Cast(F("total") - Value(1e-12), FloatField()))
    assert Cart.objects.get(pk=carts[0].pk).total == 2
    lines = run("verify", "--repair")[1]
    assert lines == [f"app.Cart.total of {carts[0].pk} is 1.999999999999, not 2, and is mended", lines[-1]]
    assert run("verify")[0] == 0


def test_parents_are_compared_in_chunks(carts, monkeypatch):
    monkeypatch.setattr(subjects, "CHUNK", 2)
    for cart in carts:
        spoil(cart, items_count=7)
    assert run("verify")[1][-1] == "4 verified, 3 wrong"


def test_backfill_fills_rows_that_are_older_than_the_declaration():
    cart = Cart.objects.create()
    Item.objects.create(cart=cart, price=3)
    declaration = keep(Cart, total=Sum("items__price", default=0))
    try:
        assert run("backfill") == (0, ["1 verified, 1 filled"])
        assert Cart.objects.get().total == 3
    finally:
        declaration.disconnect()


def test_backfill_goes_on_after_a_key(carts):
    for cart in carts:
        spoil(cart, total=7)
    assert run("backfill", "--after", f"app.Cart.total:{carts[0].pk}")[1] == ["4 verified, 2 filled"]
    assert [*Cart.objects.order_by("pk").values_list("total", flat=True)] == [7, 2, 2]


def test_an_interrupted_backfill_says_how_to_go_on(carts, monkeypatch):
    monkeypatch.setattr(subjects, "CHUNK", 1)
    mend, mended = SubjectOfField.mend, []

    def interrupted(subject, using, keys):
        if mended:
            raise KeyboardInterrupt
        mended.append(keys)
        mend(subject, using, keys)

    monkeypatch.setattr(SubjectOfField, "mend", interrupted)
    for cart in carts:
        spoil(cart, total=7)
    out = StringIO()
    with pytest.raises(KeyboardInterrupt):
        call_command("recipes", "backfill", stdout=out, stderr=out)
    assert out.getvalue() == (
        f"Interrupted. To go on: manage.py recipes backfill --after app.Cart.total:{carts[0].pk}\n"
    )


class Terminal(StringIO):
    def isatty(self):
        return True


def test_progress_is_one_line_on_a_terminal_and_nothing_elsewhere():
    terminal, elsewhere = Terminal(), io.StringIO()
    on_terminal(terminal)("half")
    on_terminal(elsewhere)("half")
    assert (terminal.getvalue(), elsewhere.getvalue()) == ("\rhalf\x1b[K", "")
