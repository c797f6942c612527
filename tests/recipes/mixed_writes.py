"""Writes of every kind to children and parents of kept fields, each chosen at random: for the machine and the load."""

import datetime
from decimal import Decimal

from django.core import serializers
from django.db.models import Avg, Count, F, Max, Min, Q, Sum
from django.utils import timezone

from tests.app.models import Cart, DailyRevenue, Item, Payment, Shopper, Transfer, Wallet, WrappedItem
from tests.helpers.writes import conflict

MODELS = (WrappedItem, Item, Cart, Transfer, Wallet, Shopper, Payment, DailyRevenue)
DAYS = [datetime.datetime(2024, 6, day, 23, tzinfo=timezone.get_default_timezone()) for day in range(1, 6)]
# Keys that a sequence does not reach, for children that are written by their keys.
FIRST_KEY = 1_000_000


def keep_all(keeping):
    """Keep fields of every kind: deltas and recounts, a chain, two relations, groups."""
    keeping.keep(
        Cart,
        items_count=Count("items"),
        dear_count=Count("items", filter=Q(items__is_dear=True)),
        noted_count=Count("items", filter=Q(items__note="yes")),
        total=Sum(F("items__price") * F("items__quantity"), default=0),
        mean_price=Avg("items__price"),
        best_price=Max("items__price"),
        least_price=Min("items__price"),
    )
    keeping.keep(
        Shopper,
        spent=Sum("carts__total", default=0),
        carts_count=Count("carts"),
        gifts_count=Count("gifts", filter=Q(gifts__quantity__gt=1)),
        gifts_worth=Sum("gifts__price"),
    )
    keeping.keep(
        Wallet,
        sent=Sum(F("outgoing__amount") * F("outgoing__quantity") * F("outgoing__rate"), default=0),
        received=Sum("incoming__amount"),
        received_count=Count("incoming", filter=Q(incoming__is_checked=True)),
    )
    figures = {"revenue": Sum("amount", default=0), "payments": Count("*"), "mean": Avg("amount")}
    keeping.keep_days(Payment, "paid_at", DailyRevenue, **figures)


class Writes:
    """What one person writes: to children of their own, which have a mark, and to parents that all share."""

    def __init__(self, choose, mark, parents=None, has_givers=True):
        self.choose = choose
        self.mark = mark
        self.carts, self.shoppers, self.wallets = parents or (None, None, None)
        self.has_givers = has_givers
        self.copies = []  # of items, as they were at some time
        self.made = []  # keys of our transfers and payments

    # --- choices ---------------------------------------------------------------------------------------------------

    @property
    def mine(self):
        return Item.objects.filter(weight=self.mark)

    def ours(self, model):
        """Return a query for rows that have no mark: those that we have made, if others write at the same time."""
        return model.objects.all() if self.carts is None else model.objects.filter(pk__in=self.made_of(model))

    def made_of(self, model):
        return [key for maker, key in self.made if maker is model]

    def one_of(self, queryset):
        """Return a row of a query, or None; sorted, so that the choice is the same each time."""
        keys = [*queryset.order_by("pk").values_list("pk", flat=True)]
        return queryset.model.objects.filter(pk=self.choose.choice(keys)).first() if keys else None

    def cart(self):
        keys = self.carts or [*Cart.objects.order_by("pk").values_list("pk", flat=True)]
        return self.choose.choice([*keys, None]) if keys else None

    def shopper(self):
        keys = self.shoppers or [*Shopper.objects.order_by("pk").values_list("pk", flat=True)]
        return self.choose.choice([*keys, None]) if keys else None

    def wallet(self):
        keys = self.wallets or [*Wallet.objects.order_by("title").values_list("pk", flat=True)]
        return self.choose.choice(keys) if keys else None

    def price(self):
        return Decimal(self.choose.randrange(-200, 2000)) / 100

    def values(self):
        return {
            "cart_id": self.cart(),
            "giver_id": self.shopper() if self.has_givers else None,
            "price": self.price(),
            "quantity": self.choose.randrange(4),
            "note": self.choose.choice(["yes", "no"]),
            "is_dear": self.choose.choice([True, False]),
            "weight": self.mark,
        }

    def some_values(self):
        values = self.values()
        return {name: values[name] for name in self.choose.sample(sorted({*values} - {"weight"}), 2)}

    def new(self, model=Item, **values):
        return model(**{**self.values(), **values})

    def explicit_keys(self):
        """Return a few keys, of which some may be taken, by children with our mark."""
        first = FIRST_KEY + 1000 * int(self.mark)
        return sorted(self.choose.sample(range(first, first + 6), 3))

    # --- children --------------------------------------------------------------------------------------------------

    def create(self):
        self.new().save()

    def create_inherited(self):
        self.new(WrappedItem).save()

    def change(self, is_partial=False):
        item = self.one_of(self.mine)
        if item is None:
            return
        self.copies.append(Item.objects.get(pk=item.pk))
        values = self.some_values()
        for name, value in values.items():
            setattr(item, name, value)
        item.save(update_fields=[*values] if is_partial else None)

    def change_some_fields(self):
        self.change(is_partial=True)

    def move(self):
        item = self.one_of(self.mine)
        if item is not None:
            item.cart_id = self.cart()
            item.save()

    def flip(self):
        item = self.one_of(self.mine)
        if item is not None:
            item.is_dear, item.note = not item.is_dear, "no" if item.note == "yes" else "yes"
            item.save()

    def change_inherited(self):
        item = self.one_of(WrappedItem.objects.filter(weight=self.mark))
        if item is not None:
            item.cart_id, item.price, item.paper = self.cart(), self.price(), "new"
            item.save()

    def wrap(self):
        """Save an inheriting child over an item that is there."""
        item = self.one_of(self.mine.filter(wrappeditem=None))
        if item is not None:
            self.new(WrappedItem, item_ptr_id=item.pk).save()

    def unwrap(self):
        item = self.one_of(WrappedItem.objects.filter(weight=self.mark))
        if item is not None:
            item.delete(keep_parents=True)

    def save_stale_copy(self):
        if self.copies:
            copy = self.choose.choice(self.copies)
            copy.cart_id, copy.giver_id = self.cart(), self.values()["giver_id"]
            copy.save()

    def delete_stale_copy(self):
        if self.copies:
            copy = self.copies.pop(self.choose.randrange(len(self.copies)))
            if copy.pk is not None:
                copy.delete()

    def copy(self):
        item = self.one_of(self.mine)
        if item is not None:
            item.pk, item._state.adding = None, True
            item.cart_id = self.cart()
            item.save()

    def delete(self):
        item = self.one_of(self.mine)
        if item is not None:
            item.delete()

    def delete_some(self):
        self.mine.filter(cart=self.cart()).delete()

    def load_fixture(self):
        item = self.one_of(self.mine.filter(wrappeditem=None))
        if item is None:
            return
        text = serializers.serialize("json", [item])
        item.cart_id, item.price = self.cart(), self.price()
        item.save()
        for one in serializers.deserialize("json", text):
            one.save()

    # --- children in bulk ------------------------------------------------------------------------------------------

    def bulk_create(self):
        Item.objects.bulk_create([self.new() for _ in range(3)])

    def bulk_create_or_ignore(self):
        Item.objects.bulk_create([self.new(pk=key) for key in self.explicit_keys()], ignore_conflicts=True)

    def bulk_create_or_update(self):
        items = [self.new(pk=key) for key in self.explicit_keys()]
        Item.objects.bulk_create(items, **conflict("pk", update=["cart", "price", "giver", "is_dear"]))

    def bulk_update(self):
        items = [*self.mine.order_by("pk")[:3]]
        for item in items:
            item.cart_id, item.price, item.note = self.cart(), self.price(), self.choose.choice(["yes", "no"])
        Item.objects.bulk_update(items, ["cart", "price", "note"])

    def keys_of_mine(self):
        """Return the keys by which some rows are updated: InnoDB finds rows by other indexes in another order."""
        return [*self.mine.order_by("pk").values_list("pk", flat=True)[self.choose.randrange(2) :: 2]]

    def update(self):
        Item.objects.filter(pk__in=self.keys_of_mine()).update(**self.some_values())

    def update_by_expression(self):
        Item.objects.filter(pk__in=self.keys_of_mine()).update(price=F("price") + 1, quantity=(F("quantity") + 3) % 5)

    def update_key(self):
        item = self.one_of(self.mine.filter(wrappeditem=None))
        keys = self.explicit_keys()  # a sequence goes on from the greatest one, and has made other rows of some
        free = sorted({*keys} - {*Item.objects.filter(pk__in=keys).values_list("pk", flat=True)})
        if item is not None and free:
            Item.objects.filter(pk=item.pk).update(id=free[0])

    # --- parents ---------------------------------------------------------------------------------------------------

    def save_stale_parent(self):
        cart = Cart.objects.filter(pk=self.cart()).first()
        if cart is not None:
            cart.items_count, cart.total, cart.title = 77, 77, self.choose.choice("abc")
            cart.save()

    def move_parent(self):
        cart = Cart.objects.filter(pk=self.cart()).first()
        if cart is not None:
            cart.shopper_id = self.shopper()
            cart.save()

    def copy_parent(self):
        cart = Cart.objects.filter(pk=self.cart()).first()
        if cart is not None:
            cart.pk, cart._state.adding = None, True
            cart.save()

    def make_and_delete_parent(self):
        """Delete a parent of our own with children, one of which was somebody's gift: a cascade."""
        cart = Cart.objects.create(shopper_id=self.shopper())
        Item.objects.bulk_create([self.new(cart_id=cart.pk) for _ in range(2)])
        cart.delete()

    def create_parent(self):
        Cart.objects.create(shopper=Shopper.objects.create(spent=5), items_count=3)

    def delete_parent(self):
        Cart.objects.filter(pk=self.cart()).delete()

    def delete_grandparent(self):
        shopper = Shopper.objects.filter(pk=self.shopper()).first()
        if shopper is not None:
            shopper.delete()

    # --- two relations to one parent, and groups --------------------------------------------------------------------

    def transfer(self):
        source, target = self.wallet(), self.wallet()
        if source is not None:
            rate = Decimal(self.choose.randrange(1, 30000)) / 10000
            values = {"amount": self.price(), "quantity": 3, "rate": rate}
            made = Transfer.objects.create(source_id=source, target_id=target, **values)
            self.made.append((Transfer, made.pk))

    def change_transfer(self):
        transfer = self.one_of(self.ours(Transfer))
        if transfer is not None:
            transfer.source_id, transfer.target_id = transfer.target_id or transfer.source_id, self.wallet()
            transfer.is_checked = self.choose.choice([True, False, None])
            transfer.save()

    def update_transfers(self):
        self.ours(Transfer).update(amount=F("amount") + 1, target=self.wallet())

    def open_wallet(self):
        Wallet.objects.create(title=f"{Wallet.objects.count()}")

    def close_wallet(self):
        Wallet.objects.filter(pk=self.wallet()).delete()

    def pay(self):
        self.made.append((Payment, Payment.objects.create(amount=self.price(), paid_at=self.choose.choice(DAYS)).pk))

    def refund(self):
        payment = self.one_of(self.ours(Payment))
        if payment is not None:
            payment.amount, payment.paid_at = -payment.amount, self.choose.choice(DAYS)
            payment.save()

    def pay_in_bulk(self):
        Payment.objects.bulk_create([Payment(amount=self.price(), paid_at=self.choose.choice(DAYS)) for _ in range(3)])

    def delete_payments(self):
        self.ours(Payment).filter(paid_at=self.choose.choice(DAYS)).delete()


OF_CHILDREN = (
    "create",
    "create_inherited",
    "change",
    "change_some_fields",
    "move",
    "flip",
    "change_inherited",
    "wrap",
    "unwrap",
    "save_stale_copy",
    "delete_stale_copy",
    "copy",
    "delete",
    "delete_some",
    "load_fixture",
    "bulk_create",
    "bulk_create_or_ignore",
    "bulk_create_or_update",
    "bulk_update",
    "update",
    "update_by_expression",
    "update_key",
    "make_and_delete_parent",
)
OF_ONE_CHILD = (
    "create",
    "change",
    "change_some_fields",
    "move",
    "flip",
    "save_stale_copy",
    "delete_stale_copy",
    "copy",
    "delete",
)
OF_PARENTS = ("save_stale_parent", "move_parent", "copy_parent")
OF_OTHERS = ("transfer", "change_transfer", "update_transfers", "pay", "refund", "pay_in_bulk", "delete_payments")
# These are for a single writer: they delete what others have chosen.
OF_ALL = ("create_parent", "delete_parent", "delete_grandparent", "open_wallet", "close_wallet")
EVERYTHING = (*OF_CHILDREN, *OF_PARENTS, *OF_OTHERS, *OF_ALL)
