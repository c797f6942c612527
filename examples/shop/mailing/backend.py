"""The mails of the shop as rows of its database: none of them leaves the machine."""

from collections.abc import Sequence

from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend

from mailing.models import Mail


class EmailBackend(BaseEmailBackend):
    """Stores mails: one that is sent in a transaction is sent if that commits."""

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        """Store the mails, and return how many they were."""
        mails = [Mail(to=", ".join(mail.to), subject=mail.subject, body=mail.body) for mail in email_messages]
        return len(Mail.objects.bulk_create(mails))
