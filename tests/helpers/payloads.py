"""Instances of models with every kind of key, and what a delivery stores of what is sent."""

from django.db.models.signals import post_delete

from heliograph import Retry, fixed
from heliograph.outbox.models import Delivery
from heliograph.outbox.outcomes import Succeeded
from heliograph.outbox.work.runner import drain
from tests.app.models import Article, Audiobook, Country, Reprint, Seat, Ticket
from tests.helpers.attempts import sent

AT_ONCE = Retry(attempts=2, backoff=fixed(0), jitter=0)


def travelled(store, value):
    """Send a value, and return what the receiver is called with."""
    received = store(sent)
    sent.send(sender=None, using="default", value=value)
    assert drain() == [Succeeded()]
    (payload,) = received
    return payload["value"]


def text():
    return Delivery.objects.get().payload


def all_texts():
    return "".join(Delivery.objects.values_list("payload", flat=True))


def make_article():
    return Article.objects.create(title="a")


def make_child():
    return Audiobook.objects.create(minutes=3)


def make_proxy():
    return Reprint.objects.create(name="a")


def make_ticket():
    return Ticket.objects.create()


def make_country():
    return Country.objects.create(code="de")


def make_seat():
    return Seat.objects.create(row=1, number=2)


MAKERS = [make_article, make_child, make_proxy, make_ticket, make_country, make_seat]


def change(article, **values):
    for name, value in values.items():
        setattr(article, name, value)
    article.save()


def is_new_or_gone(signal, created=True, **payload):
    return signal is post_delete or created
