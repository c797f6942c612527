"""The rows that are written, and those that deliveries update."""

from django.db import models


class Written(models.Model):
    """A row that somebody may wait for."""

    number = models.CharField(max_length=20)
    customer = models.CharField(max_length=100)
    total = models.DecimalField(max_digits=10, decimal_places=2)
    is_paid = models.BooleanField()
    ordered_at = models.DateTimeField()

    class Meta:
        abstract = True


class Order(Written):
    """A row with one receiver."""

    def __str__(self) -> str:
        return self.number


class Parcel(Written):
    """A row with ten receivers."""

    def __str__(self) -> str:
        return self.number


class Item(models.Model):
    """A row whose delivery counts in the counter of the same number."""

    title = models.CharField(max_length=100)
    price = models.DecimalField(max_digits=10, decimal_places=2)

    def __str__(self) -> str:
        return self.title


class Counter(models.Model):
    """How many times a delivery was executed."""

    n = models.IntegerField(default=0)

    def __str__(self) -> str:
        return str(self.n)
