"""Nights that fall, also before the day has ended."""

from datetime import date, timedelta
from random import Random

from django.db.models import Max
from django.utils import timezone

from analytics import reports
from store.models import Order

DAYS = 30


def open_it(random: Random) -> None:
    """Let the nights of thirty days fall, up to the last one on which somebody bought records."""
    last: date = Order.objects.aggregate(last=Max("placed_on"))["last"] or timezone.localdate()
    reports.close(last - timedelta(days=ago) for ago in range(DAYS))


def fall(random: Random) -> None:
    """The night falls early: what is sold later is in the report when it falls again."""
    reports.close([timezone.localdate()])


ACTIONS = (fall,)
