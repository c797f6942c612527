"""The payment service, which behaves as another company's: answers are lost, and a key is charged once."""

from payments.models import Card, Charge


class AnswerLostError(Exception):
    """The card is charged, and the shop does not know it: the answer of the service was lost on its way."""


class CardRefusedError(Exception):
    """The bank refuses the card, today and tomorrow."""


def charge(card: str, cents: int, reference: str, key: str) -> None:
    """Charge a card, once for each key: a second request with the same key is answered like the first.

    CardRefusedError says that nothing was charged. AnswerLostError comes after the first charge of some cards.
    """
    if card == Card.REFUSED:
        raise CardRefusedError("The bank refuses this card.")
    _, is_new = Charge.objects.get_or_create(key=key, defaults={"reference": reference, "cents": cents})
    if is_new and card == Card.ANSWER_LOST:
        raise AnswerLostError("The payment service has not answered in time.")


def refund(card: str, cents: int, reference: str, key: str) -> None:
    """Give back what was charged, once for each key; the first answer about some cards is lost here too."""
    charge(card, -cents, reference, key)
