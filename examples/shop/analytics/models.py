"""The statistics of the shop: `analytics.figures` keeps sales, and receivers the others."""

from django.db import models

from store.models import Customer


class Sales(models.Model):
    """How much was bought."""

    orders = models.IntegerField(default=0)
    cds = models.IntegerField(default=0)
    cents = models.BigIntegerField(default=0)

    class Meta:
        abstract = True


class CustomerStatistics(Sales):
    """What one customer bought, and when first and last."""

    customer = models.OneToOneField(Customer, on_delete=models.CASCADE, primary_key=True, related_name="statistics")
    first = models.DateField(null=True)
    last = models.DateField(null=True)

    class Meta:
        verbose_name_plural = "customer statistics"
        indexes = [models.Index(fields=["cents"], name="customer_by_cents")]

    def __str__(self) -> str:
        return f"Statistics of {self.customer}"


class DailyStatistics(Sales):
    """What was bought on one day."""

    day = models.DateField(primary_key=True)

    class Meta:
        ordering = ["day"]
        verbose_name_plural = "daily statistics"

    def __str__(self) -> str:
        return f"Statistics of {self.day}"


class PageViews(models.Model):
    """How many pages were served on one day."""

    day = models.DateField(primary_key=True)
    pages = models.PositiveIntegerField(default=0)

    class Meta:
        verbose_name_plural = "page views"

    def __str__(self) -> str:
        return f"{self.pages} pages on {self.day}"


class Report(models.Model):
    """The sales of the record shop and of the bookstore on one day, which a worker has summed up in the night."""

    day = models.DateField(unique=True)
    orders = models.IntegerField(help_text="Of records.")
    purchases = models.IntegerField(help_text="Of books, without those that were cancelled.")
    cents = models.BigIntegerField()

    class Meta:
        ordering = ["-day"]

    def __str__(self) -> str:
        return f"Report of {self.day}"
