"""The receivers of the statistics: new months, page views, and the nightly report with its webhook."""

from datetime import date
from typing import Any

from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.db.models import F
from django.utils import timezone
from heliograph import Batch, BeforeCommit, Durable, changed, created, receiver
from heliograph.audit import audit
from heliograph.recipes import webhook
from heliograph.signals import post_delete, post_save, request_finished

from analytics import reports
from analytics.models import CustomerStatistics, PageViews, Report
from analytics.signals import night_fell
from store.models import Customer


def as_json(report: Report) -> dict[str, Any]:
    """Return what others get to know of a report."""
    return {"day": report.day, "orders": report.orders, "purchases": report.purchases, "cents": report.cents}


KEPT = [
    webhook(post_save, sender=Report, when=created, event="report.made", payload=as_json),
    webhook(post_save, sender=Report, when=changed("cents"), event="report.changed", payload=as_json),
    audit(Report),
]


@receiver(night_fell, delivery=Durable(key="day"))
def make_report(sender: type, day: date, **kwargs: Any) -> None:
    """Sum up a day in a worker, one call for a day at a time: the last one is right about all that was sold."""
    reports.make(day)


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
