"""What sends to the durable receivers: the tests, and a process of the project."""

from django.db import transaction

from tests.helpers.external_workers import receivers


def send(signal, *titles):
    """Send to a signal in one transaction, once for each title."""
    with transaction.atomic():
        for title in titles:
            getattr(receivers, signal).send(sender=None, title=title, key="a")
