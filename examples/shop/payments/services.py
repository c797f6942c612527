"""The steps of a payment."""

from django.core.exceptions import ValidationError
from django.db import transaction

from bookstore.models import Purchase
from bookstore.services import cancel
from payments import provider
from payments.models import Payment
from store.locks import lock

Status = Payment.Status


@transaction.atomic
def pay(purchase: Purchase, card: str) -> Payment:
    """Store with which card a purchase is paid; a second click finds the payment of the first.

    The purchase is locked, so that nobody cancels it meanwhile. ValidationError says that somebody has done so before.
    """
    (locked,) = lock(Purchase.objects.filter(pk=purchase.pk))
    if locked.is_cancelled:
        raise ValidationError(f"{locked} is cancelled.")
    payment, _ = Payment.objects.get_or_create(purchase=locked, defaults={"card": card, "cents": locked.cents})
    return payment


def settle(payment: Payment, before: Status, after: Status) -> bool:
    """Move a payment on, and return whether it was still where it has to be before."""
    return bool(Payment.objects.filter(pk=payment.pk, status=before).update(status=after))


@transaction.atomic
def refuse(payment: Payment) -> None:
    """Cancel the purchase whose card is refused: its copies and points go back by the bookstore's own receivers."""
    if settle(payment, Status.WAITING, Status.REFUSED):
        cancel(payment.purchase)


def withdraw(payment: Payment) -> None:
    """Let a payment that waits be charged no more, and store whether its card had been charged before."""
    cents = provider.withdraw(payment.reference, key=str(payment.charge_key))
    settle(payment, Status.WAITING, Status.PAID if cents else Status.WITHDRAWN)
    payment.refresh_from_db(fields=["status"])  # `charge` may have been faster
