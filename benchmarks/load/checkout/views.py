"""The address that places an order."""

import json

from django.http import HttpRequest, JsonResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from store.models import Customer, Product
from store.services import Line, place_order


@csrf_exempt  # a shopper of locust has read no page that would have a token
def place(request: HttpRequest) -> JsonResponse:
    """Place an order of a customer for the products of these keys, and return the key of the order."""
    wanted = json.loads(request.body)
    products = Product.objects.in_bulk(wanted["products"])
    lines = [Line(products[key], products[key].cents) for key in wanted["products"]]
    order = place_order(Customer.objects.get(number=wanted["customer"]), timezone.localdate(), lines)
    return JsonResponse({"order": order.pk})
