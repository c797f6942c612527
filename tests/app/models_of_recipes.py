"""The models that the tests of recipes save, which `models` has too."""

import uuid

import django
from django.db import models
from django.db.models.functions import Lower, Random, Round

from tests.app.models_of_books import Named, Novel, Page

# --- files --------------------------------------------------------------------------------------------------------


class Album(models.Model):
    """A row that takes pictures with it."""


class Picture(models.Model):
    album = models.ForeignKey(Album, models.CASCADE, null=True, related_name="pictures")
    number = models.IntegerField(null=True, unique=True)
    title = models.CharField(max_length=50, default="")
    image = models.FileField(upload_to="pictures/%Y", blank=True)
    sketch = models.FileField(upload_to="sketches", default="sketches/none.txt")


class PictureProxy(Picture):
    class Meta:
        proxy = True


class Painting(Picture):
    style = models.CharField(max_length=50, default="")


class Poster(models.Model):
    """A row that may name a file of a picture."""

    image = models.FileField(upload_to="posters", null=True)


# --- what is searched, and what mails are about -------------------------------------------------------------------


class Reissue(Novel):
    """A child by inheritance that has a key of its own."""

    code = models.CharField(max_length=10, primary_key=True)
    novel = models.OneToOneField(Novel, models.CASCADE, parent_link=True)


class Buyer(models.Model):
    email = models.EmailField(blank=True)
    language = models.CharField(max_length=5, blank=True)


class Purchase(models.Model):
    buyer = models.ForeignKey(Buyer, models.SET_NULL, null=True)
    status = models.CharField(max_length=10, default="new")
    note = models.CharField(max_length=50, default="")


class GiftPurchase(Purchase):
    wrapping = models.CharField(max_length=10, default="")


# --- values that are normalized -----------------------------------------------------------------------------------


class Contact(models.Model):
    email = models.CharField(max_length=50, unique=True)
    name = models.CharField(max_length=50, default="")
    phone = models.CharField(max_length=20, null=True)  # noqa: DJ001
    country = models.CharField(max_length=2, choices=(("DE", "Germany"), ("FR", "France")), default="DE")
    currency = models.CharField(max_length=3, db_default="EUR")
    shown = models.GeneratedField(expression=Lower("name"), output_field=models.TextField(), db_persist=True)


class ContactProxy(Contact):
    class Meta:
        proxy = True


class Supplier(Contact):
    number = models.CharField(max_length=20, default="")


class Meeting(models.Model):
    contact = models.ForeignKey(Contact, models.CASCADE, null=True, related_name="meetings")
    room = models.CharField(max_length=20, default="")


# --- values that are computed of a new row ------------------------------------------------------------------------


class Maker(models.Model):
    code = models.CharField(max_length=10, default="")
    gadgets_count = models.IntegerField(default=0)


class Gadget(models.Model):
    maker = models.ForeignKey(Maker, models.CASCADE, null=True, related_name="gadgets")
    name = models.CharField(max_length=50, default="")
    sku = models.CharField(max_length=30, unique=True, null=True)  # noqa: DJ001
    title = models.CharField(max_length=50)


class GadgetProxy(Gadget):
    class Meta:
        proxy = True


class Robot(Gadget):
    arms = models.IntegerField(default=2)
    motto = models.CharField(max_length=50, null=True)  # noqa: DJ001


class Drone(Gadget):
    number = models.IntegerField()


class Locker(models.Model):
    """A key that the database computes, and a field that cannot wait for it."""

    key = models.IntegerField(primary_key=True, db_default=Round(Random() * 10**9))
    number = models.IntegerField()


# --- slugs --------------------------------------------------------------------------------------------------------


class Story(models.Model):
    title = models.CharField(max_length=200, default="")
    slug = models.SlugField(max_length=20, unique=True, null=True)  # noqa: DJ001
    views = models.IntegerField(default=0)


class StoryProxy(Story):
    class Meta:
        proxy = True


class Saga(Story):
    shelf = models.SlugField(unique=True, null=True)  # noqa: DJ001


class OldSlug(models.Model):
    story = models.ForeignKey(Story, models.CASCADE)
    slug = models.SlugField()

    class Meta:
        constraints = (models.UniqueConstraint(fields=["slug", "story"], name="an_old_slug_of_a_story"),)


class LastSlug(models.Model):
    """An old slug that only one story may have had."""

    story = models.ForeignKey(Story, models.CASCADE)
    slug = models.SlugField(unique=True)


class Tale(models.Model):
    """A slug with letters of all languages."""

    title = models.CharField(max_length=200, default="")
    slug = models.SlugField(max_length=50, unique=True, allow_unicode=True)


class Verse(models.Model):
    """A slug that is unique in a story."""

    story = models.ForeignKey(Story, models.CASCADE, null=True)
    title = models.CharField(max_length=200, default="")
    slug = models.SlugField()

    class Meta:
        unique_together = (("story", "slug"),)


class Listing(models.Model):
    """A slug that may be used again when the row is gone."""

    title = models.CharField(max_length=200, default="")
    slug = models.SlugField()
    is_gone = models.BooleanField(default=False)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["slug"], condition=models.Q(is_gone=False), name="a_slug_of_a_listing"),
        )


# --- what is in stock ---------------------------------------------------------------------------------------------


class Goods(Named):
    code = models.CharField(max_length=40, unique=True, default=uuid.uuid4)
    stock = models.IntegerField(default=0)
    kilos = models.DecimalField(max_digits=8, decimal_places=2, default=0)
    received = models.IntegerField(default=0)
    kilos_received = models.DecimalField(max_digits=8, decimal_places=2, default=0)
    sold = models.IntegerField(default=0)
    spare = models.IntegerField(null=True)
    weight = models.FloatField(default=0)


class Sale(models.Model):
    status = models.CharField(max_length=10, default="new")


class PurchaseLine(models.Model):
    purchase = models.ForeignKey(Sale, models.CASCADE, null=True, related_name="lines")
    goods = models.ForeignKey(Goods, models.SET_NULL, null=True, related_name="lines")
    quantity = models.IntegerField(default=1)
    kilos = models.DecimalField(max_digits=8, decimal_places=2, default=0)
    grams = models.DecimalField(max_digits=8, decimal_places=3, default=0)
    status = models.CharField(max_length=10, default="new")
    is_cancelled = models.BooleanField(default=False)


class PurchaseLineProxy(PurchaseLine):
    class Meta:
        proxy = True


class BasketLine(models.Model):
    """A row that is replaced by one of another model."""

    goods = models.ForeignKey(Goods, models.CASCADE, related_name="+")
    quantity = models.IntegerField(null=True)


class CodedLine(models.Model):
    """A row that refers to a key that is no primary key."""

    goods = models.ForeignKey(Goods, models.CASCADE, to_field="code", related_name="+")
    quantity = models.IntegerField(default=1)


if django.VERSION >= (6, 1):

    class PageLine(models.Model):
        page = models.ForeignKey(Page, models.DB_CASCADE)
        goods = models.ForeignKey(Goods, models.DO_NOTHING, related_name="+")
        quantity = models.IntegerField(default=1)
