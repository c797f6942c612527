"""The mails of the shop in a file, a line for each: none of them leaves the machine."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from django.conf import settings
from django.core.mail import EmailMessage
from django.core.mail.backends.base import BaseEmailBackend


class EmailBackend(BaseEmailBackend):
    """Appends mails to the file, which takes no longer for the last one than for the first."""

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        """Write the mails, and return how many they were."""
        with settings.MAILS.open("a", encoding="utf-8") as file:
            for mail in email_messages:
                file.write(json.dumps({"to": mail.to, "subject": mail.subject, "body": mail.body}) + "\n")
        return len(email_messages)


def read() -> Iterator[dict[str, Any]]:
    """Yield the mails that were sent, each with `to`, `subject` and `body`."""
    if settings.MAILS.exists():
        with settings.MAILS.open(encoding="utf-8") as file:
            yield from map(json.loads, file)


def clear() -> None:
    """Throw the mails away."""
    settings.MAILS.unlink(missing_ok=True)
