"""What is counted and opened beside the kept figures."""

from typing import Any

from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.db.models import F
from django.utils import timezone
from heliograph import Batch, BeforeCommit, receiver
from heliograph.signals import post_delete, post_save, request_finished

from analytics.models import CustomerStatistics, PageViews
from store.models import Customer


@receiver([post_save, post_delete], sender=Customer, bulk=True, delivery=BeforeCommit(batch=True))
def open_statistics(sender: type[Customer], batch: Batch, **kwargs: Any) -> None:
    """Give new customers statistics, which say nothing until the first order."""
    rows = [CustomerStatistics(customer_id=customer.pk) for customer in batch.created]
    CustomerStatistics.objects.bulk_create(rows, ignore_conflicts=True)  # a fixture has them too


# Before Django's own receiver, which closes the request's connection: a query after it would open another one.
@receiver(request_finished, sender=[WSGIHandler, ASGIHandler], order=-10)
def add_page(sender: type, **kwargs: Any) -> None:
    """Count a page that was served; style sheets have a handler of their own, and are not counted."""
    day = timezone.localdate()
    today = PageViews.objects.filter(day=day)
    if not today.update(pages=F("pages") + 1):
        PageViews.objects.get_or_create(day=day)
        today.update(pages=F("pages") + 1)
