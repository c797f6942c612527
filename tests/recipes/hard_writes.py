"""Writes that are hard for whoever keeps figures of the children in their parents."""

from contextlib import suppress

from django.db import transaction
from django.db.models import Case, F, Q, Value, When

from tests.app.models import Cart, Item, Shopper, WrappedItem
from tests.helpers.errors import MishapError
from tests.helpers.writes import conflict

WRITES = []


def hard(write):
    WRITES.append(write)
    return write


class World:
    """Three carts of two shoppers, with three items, of which the first has the key 1_000_001."""

    def __init__(self):
        self.ada, self.bob = Shopper.objects.create(), Shopper.objects.create()
        self.a, self.b, self.c = (Cart.objects.create(shopper=one) for one in (self.ada, self.bob, self.ada))
        Item.objects.create(pk=1_000_001, cart=self.a, giver=self.ada, price="2.50", quantity=2, note="yes")
        Item.objects.create(pk=1_000_002, cart=self.a, giver=self.bob, price="0.30", is_dear=True)
        Item.objects.create(pk=1_000_003, cart=self.b, giver=self.ada, price="7.10", quantity=3)

    def item(self, key=1_000_001, **values):
        """Return a copy of an item, with values that are not saved yet."""
        item = Item.objects.get(pk=key)
        for name, value in values.items():
            setattr(item, name, value)
        return item


@hard
def delete_twice(world):
    first, second = world.item(), world.item()
    first.delete()
    second.delete()


@hard
def delete_again_by_a_query(world):
    Item.objects.filter(pk=1_000_001).delete()
    Item.objects.filter(pk=1_000_001).delete()


@hard
def delete_and_make_again(world):
    world.item().delete()
    Item.objects.create(pk=1_000_001, cart=world.b, price=4, giver=world.bob)


@hard
def delete_and_save_a_copy(world):
    copy = world.item(cart=world.b)
    world.item().delete()
    copy.save()


@hard
def make_change_and_delete(world):
    item = Item.objects.create(cart=world.a, price=5)
    item.cart, item.price = world.b, 6
    item.save()
    item.cart = world.c
    item.save()
    item.delete()


@hard
def move_out_and_back(world):
    item = world.item()
    for cart in (world.b, None, world.c, world.a):
        item.cart = cart
        item.save()


@hard
def save_a_stale_copy(world):
    stale = world.item(price=9)
    Item.objects.filter(pk=1_000_001).update(cart=world.b, quantity=F("quantity") + 5)
    stale.save()


@hard
def save_fields_of_a_stale_copy(world):
    stale = world.item(price=9)
    world.item(cart=world.b, price=1, giver=world.bob).save()
    stale.save(update_fields=["price"])


@hard
def delete_a_stale_copy(world):
    stale = world.item()
    world.item(cart=world.b, giver=world.bob, price=40).save()
    stale.delete()


@hard
def delete_an_instance_made_by_its_key(world):
    Item(pk=1_000_001, cart=world.c, price=77).delete()


@hard
def save_an_instance_made_by_its_key(world):
    Item(pk=1_000_001, cart=world.c, price=77).save()


@hard
def save_a_deferred_copy(world):
    item = Item.objects.only("note").get(pk=1_000_001)
    item.note = "no"
    item.save()


@hard
def move_a_deferred_copy(world):
    item = Item.objects.defer("cart", "price").get(pk=1_000_001)
    item.cart_id = world.b.pk
    item.save()


@hard
def delete_a_deferred_copy(world):
    Item.objects.only("pk").get(pk=1_000_001).delete()


@hard
def copy_a_child(world):
    copy = world.item()
    copy.pk, copy._state.adding = None, True
    copy.save()


@hard
def copy_a_parent(world):
    copy = Cart.objects.get(pk=world.a.pk)
    copy.pk = None
    copy.save()


@hard
def make_a_parent_with_a_figure(world):
    Cart.objects.create(items_count=5, total=3, mean_price=2, best_price=1, shopper=world.ada)


@hard
def make_parents_with_a_figure_in_bulk(world):
    Cart.objects.bulk_create([Cart(items_count=5, total=3, mean_price=2, shopper=world.bob)])


@hard
def copy_parents_in_bulk(world):
    copies = [*Cart.objects.all()]
    for copy in copies:
        copy.pk = None
    Cart.objects.bulk_create(copies)


@hard
def upsert_the_titles_of_stale_parents(world):
    stale = [*Cart.objects.all()]
    Item.objects.create(cart_id=world.a.pk, price=3)
    Cart.objects.bulk_create(stale, **conflict("pk", update=["title"]))


@hard
def make_existing_parents_again(world):
    stale = [*Cart.objects.all()]
    Item.objects.create(cart_id=world.a.pk, price=3)
    Cart.objects.bulk_create([*stale, Cart(items_count=4)], ignore_conflicts=True)


@hard
def save_figures_of_a_parent(world):
    cart = Cart.objects.get(pk=world.a.pk)
    cart.items_count, cart.total, cart.mean_price = 50, 60, 70
    cart.save(update_fields=["items_count", "total", "mean_price"])


@hard
def save_a_parent_that_is_there_no_longer(world):
    cart = Cart.objects.get(pk=world.a.pk)
    Cart.objects.get(pk=world.a.pk).delete()
    cart.save()


@hard
def move_a_parent_and_its_child(world):
    cart = Cart.objects.get(pk=world.a.pk)
    cart.shopper = world.bob
    cart.save()
    world.item(giver=world.bob, cart=world.c).save()


@hard
def delete_a_shopper(world):
    """Carts go along, with their items; the items that are gifts of the shopper stay, without a giver."""
    world.ada.delete()


@hard
def delete_shoppers_by_a_query(world):
    Shopper.objects.filter(pk=world.bob.pk).delete()


@hard
def delete_parents_by_a_query(world):
    Cart.objects.filter(shopper=world.ada).delete()


@hard
def delete_children_and_their_parent(world):
    world.item().delete()
    world.a.delete()


@hard
def make_children_and_delete_their_parent(world):
    Item.objects.create(cart=world.a, price=3)
    Item.objects.bulk_create([Item(cart=world.a, price=3), Item(cart=world.b)])
    world.a.delete()


@hard
def bulk_create_with_conflicts(world):
    items = [
        Item(pk=key, cart=world.c, price=7, giver=world.bob, quantity=4) for key in (1_000_001, 1_000_003, 1_500_000)
    ]
    Item.objects.bulk_create(items, **conflict("pk", update=["cart", "price", "giver"]))


@hard
def bulk_create_with_some_conflicts_that_are_ignored(world):
    items = [
        Item(pk=key, cart=world.c, price=7, giver=world.bob, quantity=4) for key in (1_000_001, 1_000_003, 1_500_000)
    ]
    Item.objects.bulk_create(items, ignore_conflicts=True)


@hard
def bulk_update_of_stale_copies(world):
    stale = [world.item(key, price=8, note="yes") for key in (1_000_001, 1_000_002, 1_000_003)]
    Item.objects.update(cart=world.c, price=1)
    Item.objects.bulk_update(stale, ["price", "note"])


@hard
def bulk_update_of_moves(world):
    Item.objects.bulk_update(
        [world.item(key, cart=world.c, giver=None) for key in (1_000_001, 1_000_002)], ["cart", "giver"]
    )


@hard
def bulk_update_by_expressions(world):
    items = [world.item(1_000_001, price=F("price") * 2), world.item(1_000_002, price=F("quantity") + 1)]
    Item.objects.bulk_update(items, ["price"])


@hard
def bulk_update_in_batches(world):
    items = [world.item(key, cart=world.b, quantity=key - 1_000_000) for key in (1_000_001, 1_000_002, 1_000_003)]
    Item.objects.bulk_update(items, ["cart", "quantity"], batch_size=1)


@hard
def update_by_a_case(world):
    Item.objects.update(cart=Case(When(price__gt=1, then=Value(world.c.pk)), default=Value(world.b.pk)))


@hard
def update_by_another_column(world):
    Item.objects.update(quantity=F("quantity") * 3 - 1, price=F("price") + F("quantity"), is_dear=~Q(note="yes"))


@hard
def update_what_the_condition_is_about(world):
    Item.objects.filter(is_dear=False, note="yes").update(is_dear=True, note="no")


@hard
def update_a_key_and_delete_by_it(world):
    Item.objects.filter(pk=1_000_001).update(id=1_900_001)
    Item.objects.get(pk=1_900_001).delete()


@hard
def update_a_key_and_move_by_it(world):
    Item.objects.filter(pk=1_000_001).update(id=1_900_001, cart=world.b)
    moved = Item.objects.get(pk=1_900_001)
    moved.cart = world.c
    moved.save()


@hard
def exchange_keys(world):
    Item.objects.filter(pk=1_000_001).update(id=1_900_001)
    Item.objects.filter(pk=1_000_003).update(id=1_000_001)
    Item.objects.filter(pk=1_900_001).update(id=1_000_003)
    Item.objects.filter(pk=1_000_001).update(cart=world.c, price=5)


@hard
def related_managers(world):
    world.b.items.add(world.item(), world.item(1_000_002))
    world.b.items.remove(world.item(1_000_003))
    world.c.items.set([world.item(1_000_003), world.item(1_000_001)])
    world.ada.gifts.clear()
    world.a.items.create(price=3)


@hard
def get_or_create(world):
    Item.objects.get_or_create(pk=1_000_001, defaults={"cart": world.b})
    Item.objects.update_or_create(pk=1_000_002, defaults={"cart": world.b, "price": 11})
    Item.objects.update_or_create(pk=1050, defaults={"cart": world.b, "price": 12})


@hard
def savepoints(world):
    with transaction.atomic():
        item = world.item(price=3)
        item.save()
        with suppress(MishapError), transaction.atomic():
            item.cart, item.price = world.b, 8
            item.save()
            Item.objects.filter(pk=1_000_002).delete()
            with transaction.atomic():
                Item.objects.bulk_create([Item(cart=world.c, price=9)])
            raise MishapError
        item.save()  # the copy remembers what was undone


@hard
def rolled_back_whole(world):
    with suppress(MishapError), transaction.atomic():
        Item.objects.create(cart=world.a, price=3)
        world.item(cart=world.b).save()
        Cart.objects.get(pk=world.b.pk).delete()
        raise MishapError


@hard
def save_again_what_was_rolled_back(world):
    item = Item(cart=world.c, price=3)
    with suppress(MishapError), transaction.atomic():
        item.save()
        raise MishapError
    item.pk, item._state.adding = None, True
    item.save()


@hard
def change_in_memory_after_each_save(world):
    with transaction.atomic():
        item = Item.objects.create(cart=world.a, price=2)
        item.price, item.cart, item.quantity = 50, world.b, 9
        items = Item.objects.bulk_create([Item(cart=world.a, price=2), Item(cart=world.b, price=3)])
        for one in items:
            one.price, one.cart = 70, world.c
        gone = world.item()
        gone.delete()
        gone.cart, gone.price = world.c, 90


@hard
def save_with_other_unsaved_changes(world):
    with transaction.atomic():
        item = world.item(price=50, cart=world.b, note="no", quantity=7)
        item.save(update_fields=["note"])
        item.save(update_fields=["quantity"])


@hard
def write_as_an_inheriting_child(world):
    item = WrappedItem.objects.create(cart=world.a, price=3, giver=world.ada)
    item.cart, item.price = world.b, 5
    item.save()
    Item.objects.filter(pk=item.pk).update(cart=world.c)
    WrappedItem.objects.create(cart=world.a, price=1).delete()
    Item.objects.get(pk=WrappedItem.objects.create(cart=world.b, price=1).pk).delete()


@hard
def save_an_inheriting_child_over_a_row(world):
    WrappedItem(item_ptr_id=1_000_001, cart=world.b, price=4, giver=world.bob).save()
    with transaction.atomic():
        WrappedItem(item_ptr_id=1_000_002, cart=world.c, price=1).save()
        Item.objects.filter(pk=1_000_002).update(cart=world.b)


@hard
def make_an_item_an_inheriting_child(world):
    item = world.item(cart=world.c, quantity=4)
    wrapped = WrappedItem(item_ptr=item)
    wrapped.__dict__.update(item.__dict__)  # as many do it, with the item's `_state`
    wrapped.save()


@hard
def save_an_inheriting_child_over_a_row_and_roll_back(world):
    with transaction.atomic():
        with suppress(MishapError), transaction.atomic():
            WrappedItem(item_ptr_id=1_000_001, cart=world.b, price=4).save()
            raise MishapError
        world.item(price=9).save()


@hard
def make_an_inheriting_child_and_keep_its_parent(world):
    with transaction.atomic():
        WrappedItem.objects.create(cart=world.a, price=3, giver=world.ada).delete(keep_parents=True)
    with transaction.atomic():
        wrapped = WrappedItem.objects.create(cart=world.a, price=4)
        wrapped.cart, wrapped.price = world.b, 6
        wrapped.save()
        wrapped.delete(keep_parents=True)
    WrappedItem.objects.create(cart=world.c, price=2).delete(keep_parents=True)


def change_key(world, **key):
    """Give the first cart another key, and move its items along, by way of another cart."""
    with transaction.atomic():
        Item.objects.filter(cart=world.a).update(cart=world.c)
        Cart.objects.filter(pk=world.a.pk).update(**key)
        Item.objects.filter(cart=world.c).update(cart=1_700_000 + world.a.pk)


@hard
def change_the_key_of_a_parent(world):
    change_key(world, id=1_700_000 + world.a.pk)


@hard
def change_the_key_of_a_parent_by_an_expression(world):
    change_key(world, id=F("id") + 1_700_000)


@hard
def nothing_at_all(world):
    world.item().save()
    Item.objects.filter(pk=0).update(price=3)
    Item.objects.filter(pk=0).delete()
    Item.objects.bulk_create([])
    Item.objects.update(price=F("price"))
