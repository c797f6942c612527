"""The models that the tests save."""

import uuid
from decimal import Decimal
from typing import Any

import django
from django.contrib.contenttypes.fields import GenericForeignKey, GenericRelation
from django.contrib.contenttypes.models import ContentType
from django.db import connection, models
from django.db.models.functions import Lower, Random, Round
from django.utils.translation import get_language

from tests.app.models_of_books import *  # noqa: F403
from tests.app.models_of_books import Named, Novel, Page, Writer
from tests.app.models_of_recipes import *  # noqa: F403

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

    class Meta:
        permissions = (("explain_article", "Can explain articles"),)  # the button of ExplainAdminMixin asks for it


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


# --- what a delete takes with it ----------------------------------------------------------------------------------


class Branch(models.Model):
    code = models.CharField(max_length=10, primary_key=True)
    city = models.CharField(max_length=20, default="")


class Desk(models.Model):
    """A child that Django deletes in one statement."""

    branch = models.ForeignKey(Branch, models.CASCADE, related_name="desks")
    number = models.IntegerField(default=0)


class Loan(models.Model):
    """A child that stays, in each of Django's ways, or keeps its parent."""

    nulled = models.ForeignKey(Branch, models.SET_NULL, null=True, related_name="loans")
    defaulted = models.ForeignKey(Branch, models.SET_DEFAULT, null=True, default="main", related_name="+")
    fixed = models.ForeignKey(Branch, models.SET("main"), null=True, related_name="+")
    computed = models.ForeignKey(Branch, models.SET(lambda: "main"), null=True, related_name="+")
    protected = models.ForeignKey(Branch, models.PROTECT, null=True, related_name="+")
    restricted = models.ForeignKey(Branch, models.RESTRICT, null=True, related_name="+")


class Folder(models.Model):
    """A child of its own kind."""

    name = models.CharField(max_length=50, default="")
    parent = models.ForeignKey("self", models.CASCADE, null=True)


if django.VERSION >= (6, 1):

    class Sidenote(models.Model):
        page = models.ForeignKey(Page, models.DB_SET_NULL, null=True)


# --- relations of every shape -------------------------------------------------------------------------------------


class Song(Named):
    slug = models.SlugField(unique=True)


class Band(Named):
    code = models.CharField(max_length=10, unique=True)
    partners = models.ManyToManyField("self")
    heroes = models.ManyToManyField("self", symmetrical=False, related_name="fans")
    hidden = models.ManyToManyField(Song, related_name="+")
    songs = models.ManyToManyField(Song, through="Performance", related_name="bands")


class Performance(models.Model):
    """A relation by keys that are no primary keys."""

    band = models.ForeignKey(Band, models.CASCADE, to_field="code")
    song = models.ForeignKey(Song, models.CASCADE, to_field="slug")
    year = models.IntegerField(default=0)


# --- what is written in bulk --------------------------------------------------------------------------------------


class Ware(models.Model):
    """A row that is one of its kind by more than its key."""

    name = models.CharField(max_length=50, unique=True)
    stock = models.IntegerField(default=0)
    rank = models.IntegerField(null=True, unique=True)


class Voucher(models.Model):
    """A row that has a key before it is stored, whether it will be stored or not."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    code = models.CharField(max_length=10, unique=True)
    uses = models.IntegerField(default=0)


# --- rows that several processes have a copy of -------------------------------------------------------------------


class Topic(models.Model):
    """A row that counts those that refer to it."""

    posts = models.IntegerField(default=0)


class Post(models.Model):
    """A row that moves from one topic to another."""

    topic = models.ForeignKey(Topic, models.CASCADE, null=True, related_name="+")
    text = models.CharField(max_length=50, default="")


class Pinned(Post):
    """A row in two tables."""

    rank = models.IntegerField(default=0)


class Draft(Post):
    class Meta:
        proxy = True


# --- fields that are more than a column ---------------------------------------------------------------------------


class Upper(models.CharField):  # type: ignore[type-arg]
    """A field whose column has another value than its attribute keeps."""

    def pre_save(self, model_instance: Any, add: bool) -> Any:
        return getattr(model_instance, self.attname).upper()


class Money:
    """An amount in a currency."""

    def __init__(self, amount: Any, currency: str) -> None:
        self.amount, self.currency = Decimal(amount), currency

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Money) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash((self.amount, self.currency))

    def __repr__(self) -> str:
        return f"Money({self.amount} {self.currency})"


class MoneyAttribute:
    """The attribute of a price, which is made of two columns when it is first read."""

    def __init__(self, field: Any) -> None:
        self.name, self.currency = field.name, f"{field.name}_currency"

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        if instance is None:
            return self
        values = instance.__dict__
        if isinstance(values[self.name], Decimal):
            values[self.name] = Money(values[self.name], values[self.currency])
        return values[self.name]

    def __set__(self, instance: Any, value: Any) -> None:
        if isinstance(value, Money):
            setattr(instance, self.currency, value.currency)
            value = value.amount
        instance.__dict__[self.name] = value


class MoneyField(models.DecimalField):  # type: ignore[type-arg]
    """A field that spans two columns, in the way of django-money."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.creation_counter += 1  # the column of the currency comes before
        models.Field.creation_counter += 1

    def contribute_to_class(self, cls: Any, name: str, private_only: bool = False) -> None:
        currency: Any = models.CharField(max_length=3, default="EUR")
        currency.creation_counter = self.creation_counter - 1
        currency.contribute_to_class(cls, f"{name}_currency")
        super().contribute_to_class(cls, name, private_only)
        setattr(cls, name, MoneyAttribute(self))

    def get_prep_value(self, value: Any) -> Any:
        return super().get_prep_value(value.amount if isinstance(value, Money) else value)

    def get_db_prep_save(self, value: Any, connection: Any) -> Any:
        is_expression = hasattr(value, "as_sql")  # as that of a bulk_update()
        return super().get_db_prep_save(value if is_expression else self.get_prep_value(value), connection)


class LocalAttribute:
    """The attribute of a text that another column has in the language of today."""

    def __init__(self, field: Any) -> None:
        self.name = field.name

    def _name(self) -> str:
        return f"{self.name}_{(get_language() or 'en')[:2]}"

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else getattr(instance, self._name())

    def __set__(self, instance: Any, value: Any) -> None:
        instance.__dict__[self.name] = value
        if not hasattr(instance, "is_made"):
            return
        setattr(instance, self._name(), value)


class Wrapped:
    """A value of a class without __eq__."""

    def __init__(self, text: str) -> None:
        self.text = text


class WrappedAttribute:
    """The attribute of a text, which makes a new object of it each time."""

    def __init__(self, field: Any) -> None:
        self.name = field.name

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else Wrapped(instance.__dict__[self.name])

    def __set__(self, instance: Any, value: Any) -> None:
        instance.__dict__[self.name] = value.text if isinstance(value, Wrapped) else value


class WrappedField(models.TextField):  # type: ignore[type-arg]
    """A field whose attribute gives a view of the text."""

    def contribute_to_class(self, cls: Any, name: str, private_only: bool = False) -> None:
        super().contribute_to_class(cls, name, private_only)
        setattr(cls, name, WrappedAttribute(self))

    def pre_save(self, model_instance: Any, add: bool) -> Any:
        return getattr(model_instance, self.attname).text

    def get_prep_value(self, value: Any) -> Any:
        return super().get_prep_value(value.text if isinstance(value, Wrapped) else value)


class Offer(models.Model):
    """A model with fields of the kinds that packages have."""

    code = Upper(max_length=20, default="")
    price = MoneyField(max_digits=8, decimal_places=2, default=0)
    title = models.CharField(max_length=20, default="")
    title_en = models.CharField(max_length=20, default="")
    title_de = models.CharField(max_length=20, default="")
    text = WrappedField(default="")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.is_made = True


Offer.title = LocalAttribute(Offer._meta.get_field("title"))  # type: ignore[assignment]


# --- kept fields --------------------------------------------------------------------------------------------------


class Shopper(Named):
    spent = models.DecimalField(max_digits=12, decimal_places=2, default=0)
    carts_count = models.IntegerField(default=0)
    gifts_count = models.IntegerField(default=0)
    gifts_worth = models.DecimalField(max_digits=12, decimal_places=2, null=True)


class Cart(models.Model):
    shopper = models.ForeignKey(Shopper, models.CASCADE, null=True, related_name="carts")
    title = models.CharField(max_length=50, default="")
    total = models.DecimalField(max_digits=12, decimal_places=2, default=0)
    items_count = models.IntegerField(default=0)
    dear_count = models.IntegerField(default=0)
    noted_count = models.IntegerField(default=0)
    mean_price = models.FloatField(null=True)
    best_price = models.DecimalField(max_digits=8, decimal_places=2, null=True)
    least_price = models.DecimalField(max_digits=8, decimal_places=2, null=True)
    fewest = models.IntegerField(null=True)
    last_sold_at = models.DateTimeField(null=True)
    first_sold_on = models.DateField(null=True)
    positive = models.PositiveIntegerField(default=0)


class Item(models.Model):
    cart = models.ForeignKey(Cart, models.CASCADE, null=True, related_name="items")
    giver = models.ForeignKey(Shopper, models.SET_NULL, null=True, related_name="gifts")
    price = models.DecimalField(max_digits=8, decimal_places=2, default=0)
    quantity = models.IntegerField(default=1)
    weight = models.FloatField(null=True)
    note = models.CharField(max_length=50, default="")
    is_dear = models.BooleanField(default=False)
    sold_at = models.DateTimeField(null=True)
    sold_on = models.DateField(null=True)


if django.VERSION >= (6, 1):

    class Till(models.Model):
        receipts_count = models.IntegerField(default=0)

    class Receipt(models.Model):
        till = models.ForeignKey(Till, models.DB_CASCADE, related_name="receipts")
        page = models.ForeignKey(Page, models.DB_CASCADE)


class ItemProxy(Item):
    class Meta:
        proxy = True


class WrappedItem(Item):
    paper = models.CharField(max_length=50, default="")


class CartFigures(models.Model):
    cart = models.OneToOneField(Cart, models.CASCADE, primary_key=True, related_name="figures")
    items = models.IntegerField(default=0)


class Node(models.Model):
    parent = models.ForeignKey("self", models.CASCADE, null=True, related_name="children")
    children_count = models.IntegerField(default=0)


class City(models.Model):
    code = models.CharField(max_length=10, unique=True)
    visits_count = models.IntegerField(default=0)


class Visit(models.Model):
    city = models.ForeignKey(City, models.CASCADE, to_field="code", related_name="visits")


class Bill(models.Model):
    owner = models.ForeignKey(Shopper, models.SET_NULL, null=True, related_name="bills")
    status = models.CharField(max_length=20, default="open")
    note = models.CharField(max_length=20, null=True)  # noqa: DJ001
    total = models.IntegerField(null=True)
    amount = models.DecimalField(max_digits=8, decimal_places=2, default=0)
    labels = models.JSONField(default=list)
    paid_at = models.DateTimeField(null=True)
    changed_at = models.DateTimeField(null=True)
    paid_on = models.DateField(null=True)
    paid_time = models.TimeField(null=True)
    touched = models.DateTimeField(auto_now=True)
    shown = models.GeneratedField(expression=Lower("status"), output_field=models.TextField(), db_persist=True)


class BillProxy(Bill):
    class Meta:
        proxy = True


class Invoice(Bill):
    number = models.CharField(max_length=20)


class Parcel(models.Model):
    STATUSES = (("new", "New"), ("paid", "Paid"), ("cancelled", "Cancelled"), ("shipped", "Shipped"))

    code = models.CharField(max_length=10, unique=True)
    status = models.CharField(max_length=20, choices=STATUSES, default="new")
    note = models.CharField(max_length=20, default="")
    buyer = models.ForeignKey(Shopper, models.SET_NULL, null=True, related_name="parcels")


class ParcelProxy(Parcel):
    class Meta:
        proxy = True


class Registered(Parcel):
    number = models.CharField(max_length=20, default="")


class Payment(models.Model):
    amount = models.DecimalField(max_digits=8, decimal_places=2)
    paid_at = models.DateTimeField()
    is_refund = models.BooleanField(default=False)


class DailyRevenue(models.Model):
    day = models.DateField(unique=True)
    revenue = models.DecimalField(max_digits=12, decimal_places=2, default=0)
    payments = models.IntegerField(default=0)
    refunds = models.IntegerField(default=0)
    mean = models.FloatField(null=True)


class Wallet(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    title = models.CharField(max_length=50, default="")
    sent = models.DecimalField(max_digits=16, decimal_places=6, default=0)
    received = models.DecimalField(max_digits=16, decimal_places=2, null=True)
    received_count = models.IntegerField(default=0)


class WalletProxy(Wallet):
    class Meta:
        proxy = True


class BusinessWallet(Wallet):
    taxes = models.IntegerField(default=0)


class Transfer(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    source = models.ForeignKey(Wallet, models.CASCADE, related_name="outgoing")
    target = models.ForeignKey(Wallet, models.SET_NULL, null=True, related_name="incoming")
    amount = models.DecimalField(max_digits=8, decimal_places=2)
    quantity = models.IntegerField(default=1)
    rate = models.DecimalField(max_digits=8, decimal_places=4, default=1)
    is_checked = models.BooleanField(null=True)


# --- rows that belong together ------------------------------------------------------------------------------------


class Member(models.Model):
    name = models.CharField(max_length=50, default="")
    code = models.CharField(max_length=40, unique=True, default=uuid.uuid4)


class MemberProxy(Member):
    class Meta:
        proxy = True


class Trainer(Member):
    sport = models.CharField(max_length=50, default="")


class Profile(models.Model):
    member = models.OneToOneField(Member, models.CASCADE)
    locale = models.CharField(max_length=5, default="de")
    card = models.CharField(max_length=10, null=True, unique=True)  # noqa: DJ001


class Diary(models.Model):
    profile = models.ForeignKey(Profile, models.CASCADE)
    pages = models.IntegerField(default=0)

    class Meta:
        constraints = (models.UniqueConstraint(fields=["profile"], name="a_diary_for_each_profile"),)


class Badge(models.Model):
    """A row that refers to a key that is no primary key."""

    member = models.ForeignKey(Member, models.CASCADE, to_field="code", unique=True, related_name="badges")


class Friendship(models.Model):
    """A row that refers to one of its own kind."""

    friend = models.OneToOneField("self", models.CASCADE, null=True)


class Region(models.Model):
    """A row that must exist."""

    code = models.CharField(max_length=5, unique=True)
    name = models.CharField(max_length=50, default="")
    currency = models.CharField(max_length=3, default="EUR")


class Fare(models.Model):
    """A row that must exist, and refers to one that must exist."""

    region = models.ForeignKey(Region, models.CASCADE, to_field="code")
    zone = models.IntegerField()
    price = models.DecimalField(max_digits=8, decimal_places=2, default=0)

    class Meta:
        constraints = (models.UniqueConstraint(fields=["region", "zone"], name="a_fare_for_each_zone"),)
