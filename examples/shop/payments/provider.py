"""The payment service, which behaves as another company's: answers are lost, and a key is charged once."""

from payments.models import Card, Charge


class AnswerLostError(Exception):
    """The card is charged, and the shop does not know it: the answer of the service was lost on its way."""


class BankAwayError(Exception):
    """The bank of this card does not answer the service today, so nothing is charged."""


class CardRefusedError(Exception):
    """The bank refuses the card, today and tomorrow."""


class WithdrawnError(Exception):
    """The shop has withdrawn the charge with this key before it was made."""


def charge(card: str, cents: int, reference: str, key: str) -> None:
    """Charge a card, once for each key: a second request with the same key is answered like the first.

    CardRefusedError, BankAwayError and WithdrawnError say that nothing was charged. AnswerLostError comes after the
    first charge of some cards.
    """
    if card == Card.REFUSED:
        raise CardRefusedError("The bank refuses this card.")
    if card == Card.BANK_AWAY:
        raise BankAwayError("The bank of this card does not answer.")
    line, is_new = Charge.objects.get_or_create(key=key, defaults={"reference": reference, "cents": cents})
    if not line.cents:
        raise WithdrawnError("The shop has withdrawn this charge.")
    if is_new and card == Card.ANSWER_LOST:
        raise AnswerLostError("The payment service has not answered in time.")


def withdraw(reference: str, key: str) -> int:
    """Return the cents that were charged with this key; if there are none, nothing is charged with it any more."""
    line, _ = Charge.objects.get_or_create(key=key, defaults={"reference": reference, "cents": 0})
    return line.cents


def refund(card: str, cents: int, reference: str, key: str) -> None:
    """Give back what was charged, once for each key; the first answer about some cards is lost here too."""
    charge(card, -cents, reference, key)
