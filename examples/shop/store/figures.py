"""The inventories of the store, and figures that are aggregates of its rows: each by one declaration."""

from django.db.models import Count, Sum
from heliograph.audit import audit
from heliograph.recipes import ensure_related, keep, keep_groups

from store.models import Inventory, Order, Product, Restock

KEPT = [
    ensure_related(Inventory, to="product"),
    keep(Order, cds=Count("items"), cents=Sum("items__cents", default=0)),
    keep_groups(Restock, into=Inventory, by={"product": "product"}, received=Sum("quantity", default=0)),
    audit(Product),
]
