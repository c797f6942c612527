"""How tutorials keep a figure of the children in a field of the parent: the receivers as people write them.

Each of them is wrong under the writes that `test_tutorial_forms.py` names. The first ones are also on the page of kept
fields, about posts and comments, and `test_tutorial_page.py` compares them. `add_one` stands in `examples/tutorial`.
"""

from django.db.models import Count, F, OuterRef, Subquery, Sum
from django.db.models.functions import Coalesce

from examples.tutorial.counter import add_one
from heliograph import BeforeCommit
from heliograph.signals import post_delete, post_save
from tests.app.models import Cart, DailyRevenue, Item

# --- counts: these are on the page --------------------------------------------------------------------------------


def recount(sender, instance, **kwargs):
    cart = instance.cart
    cart.items_count = cart.items.count()
    cart.save()


def add_one_by_f(sender, instance, created, **kwargs):
    if created:
        Cart.objects.filter(pk=instance.cart_id).update(items_count=F("items_count") + 1)


def subtract_one_by_f(sender, instance, **kwargs):
    Cart.objects.filter(pk=instance.cart_id).update(items_count=F("items_count") - 1)


def add_up(sender, batch, **kwargs):
    carts = Cart.objects.filter(pk__in={item.cart_id for item in batch.instances})
    items = Item.objects.filter(cart=OuterRef("pk")).order_by().values("cart").annotate(count=Count("pk"))
    carts.update(items_count=Coalesce(Subquery(items.values("count")), 0))


# --- totals -------------------------------------------------------------------------------------------------------


def recompute(sender, instance, **kwargs):
    cart = instance.cart
    figures = cart.items.aggregate(count=Count("pk"), total=Sum(F("price") * F("quantity"), default=0))
    cart.items_count, cart.total = figures["count"], figures["total"]
    cart.save()


def add_price(sender, instance, created, **kwargs):
    if created:
        cart = instance.cart
        cart.total += instance.price * instance.quantity
        cart.save()


def add_price_by_f(sender, instance, created, **kwargs):
    if created:
        Cart.objects.filter(pk=instance.cart_id).update(total=F("total") + instance.price * instance.quantity)


# --- a row for each day -------------------------------------------------------------------------------------------


def add_to_day(sender, instance, created, **kwargs):
    if created:
        row, _ = DailyRevenue.objects.get_or_create(day=instance.paid_at.date())
        row.revenue += instance.amount
        row.payments += 1
        row.save()


# --- all of them --------------------------------------------------------------------------------------------------

ONCE = {"delivery": BeforeCommit(batch=True)}
# The receivers of each form, with their signals, and the options that the page gives them.
FORMS = {
    "recount": [(post_save, recount, {}), (post_delete, recount, {})],
    "add one": [(post_save, add_one, {})],
    "add one by F()": [(post_save, add_one_by_f, {}), (post_delete, subtract_one_by_f, {})],
    "add up": [(post_save, add_up, ONCE), (post_delete, add_up, ONCE)],
    "recompute": [(post_save, recompute, {}), (post_delete, recompute, {})],
    "add the price": [(post_save, add_price, {})],
    "add the price by F()": [(post_save, add_price_by_f, {})],
    "add to the day": [(post_save, add_to_day, {})],
}
ON_THE_PAGE = ("recount", "add one", "add one by F()", "add up")
