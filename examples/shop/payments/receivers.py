"""The receivers of payments: a worker charges a card once, and gives the money back once."""

from typing import Any

from heliograph import Discard, Durable, Retry, changed, created, fixed, receiver
from heliograph.audit import audit
from heliograph.outbox import ThisDelivery
from heliograph.signals import post_save

from bookstore.models import Purchase
from payments import provider, services
from payments.models import Payment

Status = Payment.Status

# A payment service may be away for a while; half a second is short, since somebody looks at the page.
RETRY = Retry(attempts=8, backoff=fixed(0.5))
KEPT = [audit(Payment)]


# Not atomic: no transaction is open while the service answers, and it keeps a charge whatever becomes of the worker.
@receiver(post_save, sender=Payment, when=created, delivery=Durable(queue="payments", atomic=False, retry=RETRY))
def charge(sender: type[Payment], instance: Payment, **kwargs: Any) -> Discard | None:
    """Charge the card once: all attempts have one key, also after a lost answer or the death of a worker.

    The key is a column of the payment, since `refund` withdraws the charge by it.
    """
    try:
        provider.charge(instance.card, instance.cents, instance.reference, key=str(instance.charge_key))
    except provider.CardRefusedError as error:
        services.refuse(instance)
        return Discard(str(error))
    except provider.WithdrawnError as error:
        return Discard(str(error))
    services.settle(instance, Status.WAITING, Status.PAID)
    return None


# The key: a purchase that is cancelled, taken back and cancelled again has two deliveries, made one after the other.
@receiver(
    post_save,
    sender=Purchase,
    when=changed("is_cancelled", to=True),
    bulk=True,
    delivery=Durable(queue="payments", key="instance.pk", atomic=False, retry=RETRY),
)
def refund(sender: type[Purchase], instance: Purchase, delivery: ThisDelivery, **kwargs: Any) -> Discard | None:
    """Give back what was paid for a purchase that is cancelled, once.

    A payment that waits may have a charge that comes later, whose answer was lost, or that is dead. So the charge is
    withdrawn, and the service says what it had charged before.
    """
    payment = Payment.objects.filter(purchase=instance).first()
    if payment and payment.status == Status.WAITING:
        services.withdraw(payment)
    if not payment or payment.status != Status.PAID:
        return Discard("There is nothing to give back.")
    provider.refund(payment.card, payment.cents, payment.reference, key=delivery.idempotency_key)
    services.settle(payment, Status.PAID, Status.REFUNDED)
    return None
