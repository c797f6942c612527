"""Fields that span several columns, such as a price with a currency, in the rows of bulk writes."""

import pytest

from heliograph import BeforeCommit, Change, changed, created
from heliograph.signals import post_delete, post_save, post_update
from tests.app.models import Money, Offer

pytestmark = pytest.mark.django_db

ONE_EURO, ONE_DOLLAR, TWO_EUROS = Money("1.00", "EUR"), Money("1.00", "USD"), Money("2.00", "EUR")


@pytest.fixture
def offer():
    return Offer.objects.create(price=ONE_EURO, title="Tea")


def rewrite(offer, **values):
    for name, value in values.items():
        setattr(offer, name, value)
    Offer.objects.bulk_update([offer], [*values])


WRITES = {
    "the amount by update()": (lambda offer: Offer.objects.update(price=2), TWO_EUROS),
    "the currency by update()": (lambda offer: Offer.objects.update(price_currency="USD"), ONE_DOLLAR),
    "the amount by bulk_update()": (lambda offer: rewrite(offer, price=TWO_EUROS), TWO_EUROS),
    "the currency by bulk_update()": (lambda offer: rewrite(offer, price_currency="USD"), ONE_DOLLAR),
}


@pytest.fixture(params=WRITES)
def write(request):
    return WRITES[request.param]


def test_a_row_of_a_bulk_write_has_the_values_of_the_attribute(receive, offer, write):
    received = []

    @receive(post_save, sender=Offer, when=changed("price"), bulk=True)
    def record(changes, **kwargs):
        received.append(changes)

    make, after = write
    make(offer)
    assert received == [{"price": Change(ONE_EURO, after)}]


def test_a_batch_of_a_bulk_write_has_the_values_of_the_attribute(receive, offer, write):
    received = []

    @receive(post_save, sender=Offer, when=created | changed("price"), bulk=True, delivery=BeforeCommit(batch=True))
    def record(batch, **kwargs):
        (event,) = batch.events
        received.append((event.changes, event.old("price"), event.new("price"), batch.changes("price")))

    make, after = write
    make(offer)
    assert received == [({"price": Change(ONE_EURO, after)}, ONE_EURO, after, [(offer.pk, ONE_EURO, after)])]


def test_the_signal_of_an_update_has_the_values_of_the_attribute(receive, offer):
    received = []

    @receive(post_update, sender=Offer)
    def record(batch, **kwargs):
        received.extend(batch.changes("price"))

    Offer.objects.update(price=2)
    assert received == [(offer.pk, ONE_EURO, TWO_EUROS)]


def test_a_bulk_write_of_another_column_is_no_change_of_the_field(receive, offer):
    received = []

    @receive(post_save, sender=Offer, when=changed("price"), bulk=True)
    def record(changes, **kwargs):
        received.append(changes)

    Offer.objects.update(title="Coffee")
    assert received == []


def test_a_row_that_a_query_deletes_has_the_value_of_the_attribute(receive, offer):
    received = []

    @receive(post_delete, sender=Offer, when=changed("price"), bulk=True, delivery=BeforeCommit(batch=True))
    def record(batch, **kwargs):
        received.extend(event.old("price") for event in batch.events)

    Offer.objects.all().delete()
    assert received == [ONE_EURO]
