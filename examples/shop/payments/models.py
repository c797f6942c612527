"""Payments of purchases, and the book of the payment service. Money is in whole cents."""

from uuid import uuid4

from django.db import models

from bookstore.models import Purchase


class Card(models.TextChoices):
    """The cards that the payment service knows; each behaves as some real cards do."""

    GOOD = "good", "A card that works"
    ANSWER_LOST = "answer lost", "A card whose first answer is lost"
    BANK_AWAY = "away", "A card whose bank is away"
    REFUSED = "refused", "A card that is refused"


class Payment(models.Model):
    """The payment of a purchase, which has at most one; a worker charges the card."""

    class Status(models.TextChoices):
        """How far a payment has come."""

        WAITING = "waiting", "waiting for payment"
        PAID = "paid", "paid"
        REFUSED = "refused", "refused"
        REFUNDED = "refunded", "refunded"
        WITHDRAWN = "withdrawn", "not charged"

    purchase = models.OneToOneField(Purchase, on_delete=models.CASCADE, related_name="payment")
    card = models.CharField(max_length=20, choices=Card)
    cents = models.PositiveIntegerField()
    charge_key = models.UUIDField("idempotency key of the charge", default=uuid4, editable=False)
    status = models.CharField(max_length=10, choices=Status, default=Status.WAITING, editable=False)

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return f"{self.purchase}: {self.get_status_display()}"

    @property
    def reference(self) -> str:
        """The text by which the payment service knows the purchase."""
        return f"purchase {self.purchase_id}"


class Charge(models.Model):
    """A line in the book of the payment service, which has one for each idempotency key.

    The table stands for a database of another company: no foreign key leads to it or out of it, and nothing but
    `provider.py` writes to it. Cents are below zero in a refund, and 0 if a charge was withdrawn before it was made.
    """

    key = models.CharField("idempotency key", max_length=100, unique=True)
    reference = models.CharField(max_length=50, help_text="The text by which the shop knows its purchase.")
    cents = models.IntegerField()
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return f"{self.cents} cents for {self.reference}"
