"""What the shop sells, what it has in stock, who buys and what was bought.

Money is kept in whole cents: SQLite has no decimal type, so sums of a DecimalField would be floating point there.
"""

from django.db import models
from django.urls import reverse


class Artist(models.Model):
    """Who made the record."""

    name = models.CharField(max_length=100, unique=True)
    slug = models.SlugField(max_length=100, unique=True, editable=False)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Genre(models.Model):
    """A shelf of the shop."""

    name = models.CharField(max_length=50, unique=True)
    slug = models.SlugField(max_length=50, unique=True, editable=False)
    albums = models.PositiveIntegerField(default=0, editable=False, help_text="Kept by store.receivers.count_albums.")

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Product(models.Model):
    """A CD that the shop sells."""

    artist = models.ForeignKey(Artist, on_delete=models.PROTECT, related_name="products")
    title = models.CharField(max_length=100)
    slug = models.SlugField(max_length=100, unique=True, editable=False)
    year = models.PositiveSmallIntegerField()
    cents = models.PositiveIntegerField(help_text="The list price.")
    priced_on = models.DateField(help_text="The day since which it is that.")
    genres = models.ManyToManyField(Genre, related_name="products")

    class Meta:
        ordering = ["title"]

    def __str__(self) -> str:
        return self.title

    def get_absolute_url(self) -> str:
        """Return the address of the product's page."""
        return reverse("product", args=[self.slug])


class PriceChange(models.Model):
    """A list price that went from one sum to another one, kept by a receiver."""

    product = models.ForeignKey(Product, on_delete=models.CASCADE, related_name="price_changes")
    day = models.DateField()
    old = models.PositiveIntegerField()
    new = models.PositiveIntegerField()

    class Meta:
        ordering = ["-day", "-pk"]

    def __str__(self) -> str:
        return f"{self.product}: {self.old} cents became {self.new}"


class Inventory(models.Model):
    """How many CDs of a product came in and went out, and so how many are left.

    Less than none are left while customers wait for CDs that are coming.
    """

    product = models.OneToOneField(Product, on_delete=models.CASCADE, primary_key=True)
    received = models.IntegerField(default=0, help_text="Kept by store.figures.")
    sold = models.IntegerField(default=0)
    coming = models.PositiveIntegerField(default=0, help_text="Ordered from the wholesaler, and not here yet.")
    on_hand = models.GeneratedField(
        expression=models.F("received") - models.F("sold"),
        output_field=models.IntegerField(),
        db_persist=True,
    )

    class Meta:
        verbose_name_plural = "inventory"

    def __str__(self) -> str:
        return f"{self.product}: {self.on_hand} on hand"


class Restock(models.Model):
    """CDs that came in from the wholesaler."""

    product = models.ForeignKey(Product, on_delete=models.CASCADE, related_name="restocks")
    day = models.DateField()
    quantity = models.PositiveIntegerField()

    class Meta:
        ordering = ["-day", "-pk"]

    def __str__(self) -> str:
        return f"{self.quantity} CDs of {self.product}"


class Customer(models.Model):
    """A customer, whom the data know by number only."""

    number = models.PositiveIntegerField(unique=True)
    cdnow_number = models.PositiveIntegerField(help_text="The customer's number in the full data set.")
    joined_on = models.DateField()

    class Meta:
        ordering = ["number"]

    def __str__(self) -> str:
        return f"Customer {self.number}"

    def get_absolute_url(self) -> str:
        """Return the address of the customer's page."""
        return reverse("customer", args=[self.number])

    @property
    def email(self) -> str:
        """Where to write to the customer: at an address that nobody has."""
        return f"customer-{self.number}@example.com"


class Order(models.Model):
    """What a customer bought at one time, and what it came to."""

    customer = models.ForeignKey(Customer, on_delete=models.CASCADE, related_name="orders")
    placed_on = models.DateField(db_index=True)
    cds = models.IntegerField(default=0, editable=False, help_text="Kept by store.figures.")
    cents = models.IntegerField(default=0, editable=False, help_text="Kept by store.figures.")

    class Meta:
        ordering = ["-placed_on", "-pk"]

    def __str__(self) -> str:
        return f"Order {self.pk}"

    def get_absolute_url(self) -> str:
        """Return the address of the order's page."""
        return reverse("order", args=[self.pk])


class OrderItem(models.Model):
    """One CD of an order, at the price that was paid for it."""

    order = models.ForeignKey(Order, on_delete=models.CASCADE, related_name="items")
    product = models.ForeignKey(Product, on_delete=models.PROTECT, related_name="items")
    cents = models.PositiveIntegerField()

    class Meta:
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"{self.product} in {self.order}"
