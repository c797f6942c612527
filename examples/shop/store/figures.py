"""The figures of the store that are aggregates of its rows: each by one declaration, right whatever is written."""

from django.db.models import Count, Sum
from heliograph.recipes import keep, keep_groups

from store.models import Inventory, Order, Restock

KEPT = [
    keep(Order, cds=Count("items"), cents=Sum("items__cents", default=0)),
    keep_groups(Restock, into=Inventory, by={"product": "product"}, received=Sum("quantity", default=0)),
]
