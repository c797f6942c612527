"""The event "order placed" is delivered when the items of the order are visible, beside what tutorials write."""

import pytest
from django.db import transaction

from heliograph import BeforeCommit, Durable, OnCommit, Signal, created
from heliograph.outbox.work.runner import drain
from heliograph.recipes import OutOfStock, reserve
from heliograph.signals import post_save
from tests.app.models import Goods, PurchaseLine, Sale
from tests.helpers.threads import in_thread

pytestmark = pytest.mark.django_db(transaction=True)


@Signal.define
def order_placed(sender, *, purchase: Sale) -> None:
    """A customer has bought something."""


@pytest.fixture
def tea():
    reserve(PurchaseLine, "quantity", from_="goods.stock")
    return Goods.objects.create(name="Tea", stock=10)


def place(*quantities, of):
    """Place an order, as a view does."""
    with transaction.atomic():
        purchase = Sale.objects.create()
        order_placed.send(sender=Sale, purchase=purchase)
        for quantity in quantities:
            PurchaseLine.objects.create(purchase=purchase, goods=of, quantity=quantity)


def items_of(purchase):
    """Return the quantities that are visible."""
    return sorted(PurchaseLine.objects.filter(purchase_id=purchase.pk).values_list("quantity", flat=True))


def items_for_others(purchase):
    """Return the quantities that another connection sees, and what is left in stock."""
    return in_thread(lambda: (items_of(purchase), Goods.objects.get().stock))


def test_r5_a_signal_that_is_sent_before_the_items_is_delivered_after_the_commit(tea, receive):
    seen = []

    @receive(order_placed, delivery=OnCommit())
    def confirm(sender, purchase, **kwargs):
        seen.append(items_for_others(purchase))

    place(2, 3, of=tea)
    assert seen == [([2, 3], 5)]


def test_r5_post_save_of_an_order_is_delivered_after_the_commit(tea, receive):
    seen = []

    @receive(post_save, sender=Sale, when=created, delivery=OnCommit())
    def confirm(sender, instance, **kwargs):
        seen.append(items_for_others(instance))

    place(2, 3, of=tea)
    assert seen == [([2, 3], 5)]


def test_r5_a_durable_receiver_sees_the_items(tea, receive):
    seen = []

    @receive(order_placed, delivery=Durable())
    def confirm(sender, purchase, **kwargs):
        seen.append(items_for_others(purchase))

    place(2, 3, of=tea)
    drain()
    assert seen == [([2, 3], 5)]


def test_r5_a_receiver_before_the_commit_sees_the_items_of_its_transaction(tea, receive):
    seen = []

    @receive(order_placed, delivery=BeforeCommit())
    def total(sender, purchase, **kwargs):
        seen.append(items_of(purchase))

    place(2, 3, of=tea)
    assert seen == [[2, 3]]


@pytest.mark.parametrize("delivery", [OnCommit(), Durable()])
def test_r5_an_order_that_is_refused_is_not_placed(tea, receive, delivery):
    seen = []

    @receive(order_placed, delivery=delivery)
    def confirm(sender, purchase, **kwargs):
        seen.append(purchase)

    with pytest.raises(OutOfStock):
        place(2, 30, of=tea)
    drain()
    assert seen == []


def test_control_r5_a_tutorials_receiver_of_post_save_sees_no_items(tea, connect):
    seen = []

    def confirm(sender, instance, created, **kwargs):
        seen.append((items_of(instance), items_for_others(instance)[0]))

    connect(post_save, confirm, sender=Sale)
    place(2, 3, of=tea)
    assert seen == [([], [])]


def test_control_r5_a_tutorials_receiver_of_post_save_confirms_an_order_that_is_refused(tea, connect):
    seen = []

    def confirm(sender, instance, created, **kwargs):
        seen.append(instance)

    connect(post_save, confirm, sender=Sale)
    with pytest.raises(OutOfStock):
        place(30, of=tea)
    assert len(seen) == 1
    assert Sale.objects.count() == 0
