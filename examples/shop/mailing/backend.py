"""The mails of the shop as rows of its database: none of them leaves the machine."""

from collections.abc import Sequence

from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend

from mailing.models import Mail


class EmailBackend(BaseEmailBackend):
    """Stores mails: one that is sent in a transaction is sent if that commits."""

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        """Store the mails, and return how many they were."""
        return len(Mail.objects.bulk_create(map(_stored, email_messages)))


def _stored(mail: EmailMessage) -> Mail:
    message_id = mail.extra_headers.get("Message-ID", "")
    return Mail(to=", ".join(mail.to), subject=mail.subject, body=mail.body, message_id=message_id)
