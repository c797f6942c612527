"""Recipes, and the receivers that tutorials write by hand for the same."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache
from typing import Any, ClassVar

from django.core.cache import cache as values_of_keys
from django.core.exceptions import ValidationError
from django.core.files.storage import InMemoryStorage
from django.core.mail import send_mail
from django.db import models
from django.db.models import F, ProtectedError, Q
from django.db.models.functions import Lower, Trim
from django.utils import timezone
from django.utils.text import slugify

from benchmarks import pristine
from heliograph import changed, created, recipes
from heliograph.signals import post_save

SAVES, SAVE, CREATE = "1,000 saves in one transaction", "one save in autocommit", "bulk_create() of 1,000"
CHANGES, DELETES, DELETE = "100 changes in one transaction", "100 deletes in one transaction", "delete() of 1,000"
OF_NEW_ROWS = (SAVES, SAVE, CREATE)
OF_ALL_ROWS = (*OF_NEW_ROWS, CHANGES, DELETES, DELETE)

Fields = Mapping[str, "models.Field[Any, Any]"]
Make = Callable[[str, Fields], Any]  # makes a model, with its table

STATES = {"new": {"paid", "cancelled"}, "paid": {"shipped"}}


@cache
def storage() -> InMemoryStorage:
    """Return the storage of the files, of which there are only names."""
    return InMemoryStorage()


def fields() -> Fields:
    """Return the fields of the model whose rows are written: those that all recipes need."""
    return {
        "title": models.CharField(max_length=100),
        "slug": models.SlugField(unique=True),
        "code": models.CharField(max_length=30, unique=True, null=True),
        "email": models.CharField(max_length=100),
        "status": models.CharField(max_length=20),
        "thumbnail": models.FileField(upload_to="thumbnails", storage=storage),
        "modified_at": models.DateTimeField(null=True),
    }


def values(number: int) -> Mapping[str, Any]:
    """Return the values of a new row, to which no recipe has anything to add."""
    return {
        "title": f"Tea {number}",
        "slug": f"tea-{number}",
        "code": f"C-{number}",
        "email": f"ada{number}@example.org",
        "status": "new",
        "thumbnail": f"thumbnails/{number}.png",
        "modified_at": timezone.now(),
    }


class Recipe:
    """A recipe, and the receivers that do the same by hand."""

    name: ClassVar[str]
    operations: ClassVar[Collection[str]] = OF_NEW_ROWS  # by which it is measured
    by_hand: ClassVar[Collection[str]] = (SAVES, SAVE, CHANGES, DELETES, DELETE)  # the writes that send signals
    given: ClassVar[Mapping[str, Any]] = {}  # what it is to replace
    done: ClassVar[Q] = Q()  # what holds for each row afterwards

    def models(self, make: Make) -> Sequence[Any]:
        """Return the model whose rows are written, and those that get rows by this."""
        return [make("Product", fields())]

    def connect(self, model: Any, *others: Any) -> None:
        """Connect the receivers by hand."""

    def declare(self, model: Any, *others: Any) -> None:
        """Declare the recipe."""


class Stamp(Recipe):
    """The time of the last change of a title."""

    name = "stamp"
    operations = (*OF_NEW_ROWS, CHANGES)
    given: ClassVar = {"modified_at": None}
    done = Q(modified_at__isnull=False)

    def connect(self, model: Any, *others: Any) -> None:
        def set_modified_at(sender: Any, instance: Any, **kwargs: Any) -> None:
            before = model.objects.filter(pk=instance.pk).first()
            if before is None or before.title != instance.title:
                instance.modified_at = timezone.now()

        pristine.model_signals().pre_save.connect(set_modified_at, sender=model, weak=False)

    def declare(self, model: Any, *others: Any) -> None:
        recipes.stamp(model, "modified_at", when=created | changed("title"))


class EnsureRelated(Recipe):
    """A profile for each new row."""

    name = "ensure_related"
    done = Q(profile__isnull=False)

    def models(self, make: Make) -> Sequence[Any]:
        product = make("Product", fields())
        to = models.OneToOneField(product, models.CASCADE, related_name="profile")
        return [product, make("Profile", {"product": to})]

    def connect(self, model: Any, *others: Any) -> None:
        (profile,) = others

        def create_profile(sender: Any, instance: Any, created: bool, **kwargs: Any) -> None:
            if created:
                profile.objects.create(product=instance)

        pristine.model_signals().post_save.connect(create_profile, sender=model, weak=False)

    def declare(self, model: Any, *others: Any) -> None:
        (profile,) = others
        recipes.ensure_related(profile, to="product")


class UniqueSlug(Recipe):
    """Slugs of titles that differ."""

    name = "unique_slug"
    given: ClassVar = {"slug": ""}
    done = ~Q(slug="")

    def connect(self, model: Any, *others: Any) -> None:
        def set_slug(sender: Any, instance: Any, **kwargs: Any) -> None:
            if not instance.slug:
                slug, number = slugify(instance.title), 1
                while model.objects.filter(slug=slug).exists():
                    number += 1
                    slug = f"{slugify(instance.title)}-{number}"
                instance.slug = slug

        pristine.model_signals().pre_save.connect(set_slug, sender=model, weak=False)

    def declare(self, model: Any, *others: Any) -> None:
        recipes.unique_slug(model, "slug", source="title")


class Normalize(Recipe):
    """Addresses in lower case."""

    name = "normalize"
    operations = (*OF_NEW_ROWS, CHANGES)
    given: ClassVar = {"email": " Ada@Example.org "}
    done = Q(email=Lower(Trim("email")))

    def connect(self, model: Any, *others: Any) -> None:
        def lower_email(sender: Any, instance: Any, **kwargs: Any) -> None:
            instance.email = instance.email.strip().lower()

        pristine.model_signals().pre_save.connect(lower_email, sender=model, weak=False)

    def declare(self, model: Any, *others: Any) -> None:
        recipes.normalize(model, email=[str.strip, str.lower])


class Generate(Recipe):
    """Codes that are computed before the row is written."""

    name = "generate"
    given: ClassVar = {"code": None}
    done = Q(code__startswith="C-")

    def connect(self, model: Any, *others: Any) -> None:
        def set_code(sender: Any, instance: Any, **kwargs: Any) -> None:
            if instance.code is None:
                instance.code = f"C-{instance.slug}"

        pristine.model_signals().pre_save.connect(set_code, sender=model, weak=False)

    def declare(self, model: Any, *others: Any) -> None:
        recipes.generate(model, code=lambda product: f"C-{product.slug}", before_insert=True)


class GenerateByKey(Recipe):
    """Codes that have the key of the row, which the database makes."""

    name = "generate, of the key"
    given: ClassVar = {"code": None}
    done = Q(code__startswith="C-")

    def connect(self, model: Any, *others: Any) -> None:
        def set_code(sender: Any, instance: Any, created: bool, **kwargs: Any) -> None:
            if created:
                instance.code = f"C-{instance.pk:06}"
                instance.save()

        pristine.model_signals().post_save.connect(set_code, sender=model, weak=False)

    def declare(self, model: Any, *others: Any) -> None:
        recipes.generate(model, code=lambda product: f"C-{product.pk:06}")


class Transitions(Recipe):
    """A table of the states that may follow each other."""

    name = "transitions"
    operations = (*OF_NEW_ROWS, CHANGES)

    def connect(self, model: Any, *others: Any) -> None:
        def check_move(sender: Any, instance: Any, **kwargs: Any) -> None:
            before = model.objects.filter(pk=instance.pk).first()
            if before and before.status != instance.status and instance.status not in STATES.get(before.status, ()):
                raise ValidationError("This move is not allowed.")

        pristine.model_signals().pre_save.connect(check_move, sender=model, weak=False)

    def declare(self, model: Any, *others: Any) -> None:
        recipes.transitions(model, "status", STATES, initial={"new"})


class Protect(Recipe):
    """Rows that are paid stay."""

    name = "protect"
    operations = (DELETES, DELETE)

    def connect(self, model: Any, *others: Any) -> None:
        def keep_paid(sender: Any, instance: Any, **kwargs: Any) -> None:
            if instance.status == "paid":
                raise ProtectedError("What is paid stays.", {instance})

        pristine.model_signals().pre_delete.connect(keep_paid, sender=model, weak=False)

    def declare(self, model: Any, *others: Any) -> None:
        recipes.protect(model, when=Q(status="paid"))


class CleanUpFiles(Recipe):
    """Files of rows that name others, or are deleted."""

    name = "clean_up_files"
    operations = OF_ALL_ROWS

    def connect(self, model: Any, *others: Any) -> None:
        def delete_replaced(sender: Any, instance: Any, **kwargs: Any) -> None:
            before = model.objects.filter(pk=instance.pk).first()
            if before and before.thumbnail != instance.thumbnail:
                before.thumbnail.delete(save=False)

        def delete_thumbnail(sender: Any, instance: Any, **kwargs: Any) -> None:
            instance.thumbnail.delete(save=False)

        signals = pristine.model_signals()
        signals.pre_save.connect(delete_replaced, sender=model, weak=False)
        signals.post_delete.connect(delete_thumbnail, sender=model, weak=False)

    def declare(self, model: Any, *others: Any) -> None:
        recipes.clean_up_files(model, "thumbnail")


class Invalidate(Recipe):
    """A key in the cache for each row."""

    name = "invalidate"
    operations = OF_ALL_ROWS

    def connect(self, model: Any, *others: Any) -> None:
        def delete_key(sender: Any, instance: Any, **kwargs: Any) -> None:
            values_of_keys.delete(f"product:{instance.pk}")

        signals = pristine.model_signals()
        signals.post_save.connect(delete_key, sender=model, weak=False)
        signals.post_delete.connect(delete_key, sender=model, weak=False)

    def declare(self, model: Any, *others: Any) -> None:
        recipes.invalidate(model, lambda product: [f"product:{product.pk}"])


class Mail(Recipe):
    """A mail about each new row."""

    name = "mail"

    def connect(self, model: Any, *others: Any) -> None:
        def write_mail(sender: Any, instance: Any, created: bool, **kwargs: Any) -> None:
            if created:
                send_mail("Your order", "Thank you.", "shop@example.org", [instance.email])

        pristine.model_signals().post_save.connect(write_mail, sender=model, weak=False)

    def declare(self, model: Any, *others: Any) -> None:
        recipes.mail(model, when=created, to="email", template="orders/placed")


class SearchIndex(Recipe):
    """A document for each row, on a server for which a dict stands."""

    name = "search_index"
    operations = OF_ALL_ROWS

    def connect(self, model: Any, *others: Any) -> None:
        documents: dict[int, Any] = {}

        def index(sender: Any, instance: Any, **kwargs: Any) -> None:
            documents[instance.pk] = {"title": instance.title, "status": instance.status}

        def remove(sender: Any, instance: Any, **kwargs: Any) -> None:
            documents.pop(instance.pk, None)

        signals = pristine.model_signals()
        signals.post_save.connect(index, sender=model, weak=False)
        signals.post_delete.connect(remove, sender=model, weak=False)

    def declare(self, model: Any, *others: Any) -> None:
        recipes.search_index(model, ["title", "status"], into=Documents())


class Documents:
    """The server of the documents, which only workers call."""

    def write(self, documents: Any, using: str) -> None:
        """Take documents."""

    def remove(self, pks: Any, using: str) -> None:
        """Drop documents."""


class Webhook(Recipe):
    """An event for each new row; by hand it would be a request, which is not measured."""

    name = "webhook"
    by_hand = ()
    numbers = itertools.count()

    def declare(self, model: Any, *others: Any) -> None:
        event = f"product{next(self.numbers)}.created"
        recipes.webhook(
            post_save, sender=model, when=created, event=event, payload=lambda product: {"title": product.title}
        )


class Reserve(Recipe):
    """Units of a stock, of which each new row takes one."""

    name = "reserve"
    operations = (*OF_NEW_ROWS, DELETES, DELETE)

    def models(self, make: Make) -> Sequence[Any]:
        shelf = make("Shelf", {"stock": models.IntegerField(default=1_000_000_000)})
        shelf.objects.create(pk=1)
        to = models.ForeignKey(shelf, models.CASCADE, default=1)
        return [make("Product", {**fields(), "shelf": to, "quantity": models.IntegerField(default=1)})]

    def connect(self, model: Any, *others: Any) -> None:
        shelves = model._meta.get_field("shelf").related_model.objects

        def take(sender: Any, instance: Any, created: bool, **kwargs: Any) -> None:
            if created:
                wanted = shelves.filter(pk=instance.shelf_id, stock__gte=instance.quantity)
                if not wanted.update(stock=F("stock") - instance.quantity):
                    raise ValidationError("There are no more of it.")

        def give_back(sender: Any, instance: Any, **kwargs: Any) -> None:
            shelves.filter(pk=instance.shelf_id).update(stock=F("stock") + instance.quantity)

        signals = pristine.model_signals()
        signals.post_save.connect(take, sender=model, weak=False)
        signals.post_delete.connect(give_back, sender=model, weak=False)

    def declare(self, model: Any, *others: Any) -> None:
        recipes.reserve(model, "quantity", from_="shelf.stock")


class NothingConnected(Recipe):
    """Rows that nobody hears of."""

    name = "Django, nothing connected"
    operations = OF_ALL_ROWS


RECIPES: tuple[type[Recipe], ...] = (
    Stamp,
    EnsureRelated,
    UniqueSlug,
    Normalize,
    Generate,
    GenerateByKey,
    Transitions,
    Protect,
    CleanUpFiles,
    Invalidate,
    Mail,
    SearchIndex,
    Webhook,
    Reserve,
)
