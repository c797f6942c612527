"""The models that the tests save."""

import uuid
from typing import Any

import django
from django.contrib.contenttypes.fields import GenericForeignKey, GenericRelation
from django.contrib.contenttypes.models import ContentType
from django.db import connection, models
from django.db.models.functions import Random, Round


class Named(models.Model):
    name = models.CharField(max_length=50)

    class Meta:
        abstract = True


class Writer(Named):
    pass


class Genre(Named):
    pass


class Novel(Named):
    writer = models.ForeignKey(Writer, models.CASCADE, null=True, related_name="novels")
    genres = models.ManyToManyField(Genre, related_name="novels")
    readers = models.ManyToManyField(Writer, through="Reading", related_name="read")


class Reprint(Novel):
    class Meta:
        proxy = True


class Audiobook(Novel):
    minutes = models.IntegerField(default=0)


class Reading(models.Model):
    novel = models.ForeignKey(Novel, models.CASCADE)
    reader = models.ForeignKey(Writer, models.CASCADE)
    stars = models.IntegerField(default=0)


class Review(models.Model):
    novel = models.ForeignKey(Novel, models.SET_NULL, null=True)


class Page(models.Model):
    pass


if django.VERSION >= (6, 1):

    class Footnote(models.Model):
        page = models.ForeignKey(Page, models.DB_CASCADE)


# --- what can become of a row -------------------------------------------------------------------------------------


class Article(models.Model):
    """A field of each kind that is compared in a way of its own."""

    title = models.CharField(max_length=100, default="")
    slug = models.SlugField(blank=True)
    words = models.IntegerField(default=0)
    price = models.DecimalField(max_digits=8, decimal_places=2, default=0)
    published = models.DateTimeField(null=True)
    updated = models.DateTimeField(auto_now=True)
    labels = models.JSONField(default=list)
    author = models.ForeignKey(Writer, models.SET_NULL, null=True)
    cover = models.FileField(upload_to="covers", blank=True)


class Account(models.Model):
    """Values that the database computes."""

    balance = models.IntegerField(default=0)
    limit = models.IntegerField(db_default=models.Value(100))
    twice = models.GeneratedField(
        expression=models.F("balance") * 2, output_field=models.IntegerField(), db_persist=True
    )


class Country(models.Model):
    """A natural key."""

    code = models.CharField(max_length=2, primary_key=True)
    name = models.CharField(max_length=50, default="")


class Ticket(models.Model):
    """A key that is a default."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    state = models.CharField(max_length=10, default="new")


class Token(models.Model):
    """A key that the database computes."""

    key = models.IntegerField(primary_key=True, db_default=Round(Random() * 10**9))
    name = models.CharField(max_length=10, default="")


class Seat(models.Model):
    """A key of two columns."""

    pk = models.CompositePrimaryKey("row", "number")
    row = models.IntegerField()
    number = models.IntegerField()
    guest = models.CharField(max_length=50, default="")


class Checked(models.Model):
    """A model that Django looks for before it updates."""

    name = models.CharField(max_length=50)

    class Meta:
        select_on_save = True


class Own(models.Model):
    """A model that has its own way of loading, refreshing and saving."""

    name = models.CharField(max_length=50)
    extra = models.CharField(max_length=50, default="")

    was_loaded = was_refreshed = was_saved = False

    def save(self, *args: Any, **kwargs: Any) -> None:
        super().save(*args, **kwargs)
        self.was_saved = True

    @classmethod
    def from_db(cls, db: Any, field_names: Any, values: Any, **options: Any) -> Any:
        instance = super().from_db(db, field_names, values, **options)
        instance.was_loaded = True
        return instance

    # These have fewer parameters than Django's, as many models do.
    def save_base(self, raw: bool = False, **kwargs: Any) -> None:  # type: ignore[override]
        super().save_base(raw, **kwargs)

    def refresh_from_db(self, **kwargs: Any) -> None:  # type: ignore[override]
        super().refresh_from_db(**kwargs)
        self.was_refreshed = True


class Eager(models.Model):
    """A model that reads all its deferred fields when one is read, as Django's documentation shows."""

    name = models.CharField(max_length=50)
    extra = models.CharField(max_length=50, default="")

    def refresh_from_db(self, using: Any = None, fields: Any = None, **kwargs: Any) -> None:  # type: ignore[override]
        if fields is not None:
            fields = self.get_deferred_fields() | {*fields}
        super().refresh_from_db(using=using, fields=fields, **kwargs)


class Chapter(models.Model):
    novel = models.ForeignKey(Novel, models.CASCADE)
    name = models.CharField(max_length=50, default="")

    class Meta:
        order_with_respect_to = "novel"


class Essay(Named):
    remarks = GenericRelation("app.Remark")


class Remark(models.Model):
    # Without a constraint: this app has no migrations, and its tables are made before those of the others.
    content_type = models.ForeignKey(ContentType, models.CASCADE, db_constraint=False)
    object_id = models.BigIntegerField()
    target = GenericForeignKey()
    text = models.CharField(max_length=50, default="")


if connection.vendor == "postgresql":
    from django.contrib.postgres.fields import ArrayField

    class Basket(models.Model):
        items = ArrayField(models.CharField(max_length=20), default=list)
