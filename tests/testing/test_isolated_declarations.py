"""Isolation of declarations: recipes, models that are audited, and values of contexts that a test declares."""

import pytest
from django.core.checks import run_checks
from django.db.models import Count
from django.test import override_settings

from heliograph import created, inspect
from heliograph.audit import audit
from heliograph.audit.audit_declarations import declare_settings
from heliograph.audit.audited_models import AUDITED
from heliograph.context import context
from heliograph.recipes import keep, mail
from heliograph.recipes.declarations import declarations
from heliograph.signals import post_save, pre_save
from heliograph.testing import isolated
from tests.app.models import Cart, Item, Pinned, Post, Purchase, Ware
from tests.audit.entries import entries
from tests.helpers.recipes_command import run

pytestmark = pytest.mark.django_db(databases="__all__")


@pytest.fixture(autouse=True)
def _nothing_stays():
    """Let a declaration outside of `isolated()` end with its test."""
    yield
    for one in [*declarations, *AUDITED.values()]:
        one.disconnect()


def keep_count():
    return keep(Cart, items_count=Count("items"))


def cart_with_an_item():
    cart = Cart.objects.create()
    Item.objects.create(cart=cart)
    cart.refresh_from_db()
    return cart


def names(signal):
    return [one.name for one in inspect(signal)]


# --- recipes ------------------------------------------------------------------------------------------------------


def test_k2_a_recipe_of_the_block_is_in_no_list_and_in_no_check_after_it():
    with isolated():
        mail(Purchase, when=created, to="buyer.email", template="nowhere")
        assert "heliograph.E202" in {one.id for one in run_checks()}

    assert run("list") == (0, ["No recipe is declared."])
    assert "heliograph.E202" not in {one.id for one in run_checks()}


def test_k2_what_a_recipe_of_the_block_has_claimed_is_free_after_it():
    for _ in range(2):
        with isolated():
            keep_count()
            assert cart_with_an_item().items_count == 1
    assert cart_with_an_item().items_count == 0


def test_k2_a_recipe_is_gone_after_an_error_too():
    with pytest.raises(ZeroDivisionError), isolated():
        _declare_and_fail()

    assert declarations == []


def _declare_and_fail():
    keep_count()
    raise ZeroDivisionError


def test_k2_recipes_around_the_block_go_on_beside_those_of_the_block():
    keep_count()
    before = names(pre_save), names(post_save)
    with isolated():
        keep(Cart, dear_count=Count("items"))

    assert (names(pre_save), names(post_save)) == before
    assert cart_with_an_item().items_count == 1


def test_k2_of_two_recipes_that_share_receivers_the_one_that_the_block_disconnects_is_back():
    first = keep_count()
    second = keep(Cart, dear_count=Count("items"))
    with isolated():
        first.disconnect()
    cart = cart_with_an_item()

    assert (cart.items_count, cart.dear_count) == (1, 1)
    assert declarations == [first, second]
    assert first.disconnect()
    assert second.disconnect()
    assert not [name for name in (*names(pre_save), *names(post_save)) if "keep" in name or "lock" in name]


def test_k2_blocks_with_declarations_nest():
    with isolated():
        keep_count()
        with isolated():
            declarations[0].disconnect()
        assert cart_with_an_item().items_count == 1
    assert declarations == []


# --- the audit log ------------------------------------------------------------------------------------------------


def test_k2_a_model_that_the_block_audits_is_not_audited_after_it():
    with isolated():
        handle = audit(Ware)
        Ware.objects.create(name="tea")
    Ware.objects.create(name="milk")

    assert len(entries()) == 1
    assert {**AUDITED} == {}
    assert not handle.disconnect()


def test_k2_a_handle_of_the_block_does_not_end_an_audit_outside_of_it():
    with isolated():
        of_block = audit(Ware)
    audit(Ware)

    assert not of_block.disconnect()
    assert Ware in AUDITED


def test_k2_an_audit_that_the_block_ends_goes_on_after_it():
    handle = audit(Pinned)
    before = {**AUDITED}
    with isolated():
        handle.disconnect()
        Pinned.objects.create()
    Pinned.objects.create()

    assert before == AUDITED
    assert {*before} == {Pinned, Post}
    assert len(entries()) == 2  # of the rows of its two tables
    assert (handle.disconnect(), handle.disconnect()) == (True, False)
    assert {**AUDITED} == {}


@override_settings(HELIOGRAPH={"AUDIT": {"MODELS": ["app.Ware"]}})
def test_k2_the_audit_of_the_settings_is_back_that_a_declaration_of_the_block_has_replaced():
    declare_settings()
    with isolated():
        audit(Ware, exclude=["name"])
    Ware.objects.create(name="tea")

    assert AUDITED[Ware].is_implied
    assert "name" in entries()[0][2]


# --- contexts -----------------------------------------------------------------------------------------------------


def test_k2_a_value_of_contexts_that_the_block_declares_is_unknown_after_it():
    with isolated():
        context.declare("shelf", int)
        with context(shelf=5):
            pass

    with pytest.raises(TypeError, match="context\\(\\) has no 'shelf'"):
        context(shelf=5)
