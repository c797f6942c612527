"""Models that another package follows."""

from django.apps import apps
from django.db import models


class Tag(models.Model):
    name = models.CharField(max_length=20)

    class Meta:
        app_label = "shop"


class Product(models.Model):
    name = models.CharField(max_length=20)
    price = models.DecimalField(max_digits=8, decimal_places=2, default=0)
    note = models.CharField(max_length=20, null=True)  # noqa: DJ001 - a text that may be None
    sold_at = models.DateTimeField(null=True)
    tags = models.ManyToManyField(Tag)

    class Meta:
        app_label = "shop"

    if apps.is_installed("simple_history"):
        from simple_history.models import HistoricalRecords

        history = HistoricalRecords()


if apps.is_installed("auditlog"):
    from auditlog.registry import auditlog

    auditlog.register(Product, m2m_fields={"tags"})

if apps.is_installed("pghistory"):
    import pghistory

    Product = pghistory.track(pghistory.InsertEvent(), pghistory.UpdateEvent(), pghistory.DeleteEvent())(Product)
