"""Every recipe: case R18, in the same form for all of them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from django.apps import apps
from django.core import mail as django_mail
from django.core.cache import cache
from django.core.files.base import ContentFile
from django.core.management.sql import emit_post_migrate_signal
from django.db import transaction
from django.db.models import ProtectedError
from django.dispatch import Signal
from django.utils import timezone

from heliograph import OnCommit, changed, mute, recipes, trace
from heliograph.dispatch.django_shape import all_objects
from heliograph.outbox import drain
from heliograph.outbox.models import Delivery
from heliograph.recipes import ForbiddenTransition
from heliograph.signals import post_save
from heliograph.testing import isolated
from tests.app import models
from tests.helpers.indexes import Index
from tests.helpers.patched import patched_methods

pytestmark = pytest.mark.django_db(databases=["default", "other"])


@dataclass(frozen=True)
class Case:
    """A recipe, and a write for which it has something to do."""

    name: str
    declare: Callable[[], Any]
    works: Callable[[], bool]  # writes, and returns whether the recipe has done its work

    def __str__(self):
        return self.name


def has_related_row():
    return models.Profile.objects.filter(member=models.Member.objects.create()).exists()


def has_slug():
    return models.Story.objects.create(title="Tea").slug == "tea"


def is_normal():
    return models.Contact.objects.create(email="ADA@B.ORG").email == "ada@b.org"


def has_value():
    return models.Gadget.objects.create().sku is not None


def is_stamped():
    bill = models.Bill.objects.create(touched=timezone.now())
    bill.status = "paid"
    bill.save()
    return bill.paid_at is not None


def has_taken():
    tea = models.Goods.objects.create(stock=5)
    models.PurchaseLine.objects.create(goods=tea)
    tea.refresh_from_db()
    return tea.stock == 4


def has_removed_a_file():
    picture = models.Picture.objects.create(image=ContentFile(b"x", name="x.txt"))
    name, storage = picture.image.name, picture.image.storage
    picture.delete()
    is_there = storage.exists(name)
    storage.delete(name)
    return not is_there


def has_removed_a_key():
    cache.set("topics", 1)
    models.Post.objects.create(text="a")
    return cache.get("topics") is None


index = Index()


def is_indexed():
    index.documents.clear()
    models.Article.objects.create(title="a")
    drain()
    return index.values("title") == ["a"]


def is_mailed():
    django_mail.outbox.clear()
    bought = models.Purchase.objects.create(buyer=models.Buyer.objects.create(email="ada@example.com"))
    bought.status = "shipped"
    bought.save()
    drain()
    return len(django_mail.outbox) == 1


def is_announced():
    models.Parcel.objects.create(code=str(models.Parcel.objects.count()))
    return Delivery.objects.exists()


def is_seeded():
    emit_post_migrate_signal(0, False, "default", apps=apps, plan=[])
    return models.Region.objects.filter(code="N").exists()


def refuses(error, write):
    try:
        with transaction.atomic():
            write()
    except error:
        return True
    return False


def refuses_a_move():
    return refuses(ForbiddenTransition, models.Parcel(code="moved", status="nowhere").save)


def refuses_a_deletion():
    return refuses(ProtectedError, models.Novel.objects.create(name="Dune").delete)


CASES = [
    Case("ensure_related", lambda: recipes.ensure_related(models.Profile, to="member"), has_related_row),
    Case("unique_slug", lambda: recipes.unique_slug(models.Story, "slug", source="title"), has_slug),
    Case("normalize", lambda: recipes.normalize(models.Contact, email=str.lower), is_normal),
    Case("generate", lambda: recipes.generate(models.Gadget, sku=lambda gadget: f"{gadget.pk}"), has_value),
    Case("stamp", lambda: recipes.stamp(models.Bill, "paid_at", when=changed("status", to="paid")), is_stamped),
    Case("reserve", lambda: recipes.reserve(models.PurchaseLine, "quantity", from_="goods.stock"), has_taken),
    Case(
        "clean_up_files",
        lambda: recipes.clean_up_files(models.Picture, "image", delivery=OnCommit()),
        has_removed_a_file,
    ),
    Case("invalidate", lambda: recipes.invalidate(models.Post, lambda post: ["topics"]), has_removed_a_key),
    Case("search_index", lambda: recipes.search_index(models.Article, ["title"], into=index), is_indexed),
    Case(
        "mail",
        lambda: recipes.mail(
            models.Purchase, when=changed("status", to="shipped"), to="buyer.email", template="purchases/shipped"
        ),
        is_mailed,
    ),
    Case(
        "webhook",
        lambda: recipes.webhook(post_save, sender=models.Parcel, event="parcel.saved", payload=lambda parcel: {}),
        is_announced,
    ),
    Case("seed", lambda: recipes.seed(models.Region, [{"code": "N", "name": "North"}]), is_seeded),
    Case("transitions", lambda: recipes.transitions(models.Parcel, "status", {}, initial={"new"}), refuses_a_move),
    Case("protect", lambda: recipes.protect(models.Novel), refuses_a_deletion),
]
of_every_recipe = pytest.mark.parametrize("case", CASES, ids=str)


def receivers():
    """Return the keys of the receivers of all signals, by signal."""
    signals = [one for one in all_objects() if issubclass(type(one), Signal)]
    return {id(one): [key for key, *_ in one.receivers] for one in signals if one.receivers}


def test_no_recipe_is_left_out():
    elsewhere = {
        "keep",
        "keep_groups",
        "cached",
    }  # kept fields have tests of their own, and `cached()` connects nothing
    assert {one.name for one in CASES} == {name for name in recipes.__all__ if name[0].islower()} - elsewhere


@of_every_recipe
def test_r18_it_does_its_work(case):
    case.declare()
    assert case.works()


@of_every_recipe
def test_r18_disconnected_it_leaves_no_receiver_and_no_patch(case, no_kept_error):
    before = patched_methods(), receivers()
    declaration = case.declare()
    assert (patched_methods(), receivers()) != before
    assert (declaration.disconnect(), declaration.disconnect()) == (True, False)
    assert (patched_methods(), receivers()) == before
    assert not case.works()


@of_every_recipe
def test_r18_muted_it_does_nothing(case):
    case.declare()
    with mute():
        assert not case.works()


@of_every_recipe
def test_r18_a_trace_shows_it_by_its_name(case):
    declaration = case.declare()
    with trace() as flow:
        case.works()
    assert f"{declaration.recipe}(" in str(flow)


@of_every_recipe
def test_r18_declared_in_an_isolated_test_it_ends_with_it(case, no_kept_error):
    before = patched_methods(), receivers()
    with isolated():
        declaration = case.declare()
    assert (patched_methods(), receivers()) == before
    assert not declaration.disconnect()
    assert not case.works()


@of_every_recipe
def test_r18_disconnected_in_an_isolated_test_it_is_back_after_it(case):
    declaration = case.declare()
    with isolated():
        declaration.disconnect()
    assert case.works()


@of_every_recipe
def test_r18_what_is_back_after_an_isolated_test_can_be_disconnected(case, no_kept_error):
    before = patched_methods(), receivers()
    declaration = case.declare()
    with isolated():
        declaration.disconnect()
    assert (patched_methods(), receivers()) != before
    assert (declaration.disconnect(), declaration.disconnect()) == (True, False)
    assert (patched_methods(), receivers()) == before
