"""How tutorials keep a figure of the children in a field of the parent: the receivers as people write them.

Each of them is wrong under the writes that `test_tutorial_forms.py` names.
"""

from django.db.models import Count, F, Sum

from heliograph.signals import post_delete, post_save
from tests.app.models import Cart, DailyRevenue

# --- count again after each write ---------------------------------------------------------------------------------


def recount(sender, instance, **kwargs):
    cart = instance.cart
    cart.items_count = cart.items.count()
    cart.save()


def recompute(sender, instance, **kwargs):
    cart = instance.cart
    figures = cart.items.aggregate(count=Count("pk"), total=Sum(F("price") * F("quantity"), default=0))
    cart.items_count, cart.total = figures["count"], figures["total"]
    cart.save()


# --- add and subtract ---------------------------------------------------------------------------------------------


def add_one(sender, instance, created, **kwargs):
    if created:
        cart = instance.cart
        cart.items_count += 1
        cart.total += instance.price * instance.quantity
        cart.save()


def subtract_one(sender, instance, **kwargs):
    cart = instance.cart
    cart.items_count -= 1
    cart.total -= instance.price * instance.quantity
    cart.save()


def add_one_by_f(sender, instance, created, **kwargs):
    if created:
        Cart.objects.filter(pk=instance.cart_id).update(
            items_count=F("items_count") + 1, total=F("total") + instance.price * instance.quantity
        )


def subtract_one_by_f(sender, instance, **kwargs):
    Cart.objects.filter(pk=instance.cart_id).update(
        items_count=F("items_count") - 1, total=F("total") - instance.price * instance.quantity
    )


# --- a row for each day -------------------------------------------------------------------------------------------


def add_to_day(sender, instance, created, **kwargs):
    if created:
        row, _ = DailyRevenue.objects.get_or_create(day=instance.paid_at.date())
        row.revenue += instance.amount
        row.payments += 1
        row.save()


# --- all of them --------------------------------------------------------------------------------------------------

FORMS = {
    "recount": [(post_save, recount), (post_delete, recount)],
    "recompute": [(post_save, recompute), (post_delete, recompute)],
    "add one": [(post_save, add_one), (post_delete, subtract_one)],
    "add one by F()": [(post_save, add_one_by_f), (post_delete, subtract_one_by_f)],
    "add to the day": [(post_save, add_to_day)],
}
