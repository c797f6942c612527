"""What runs in a process that starts afresh: nothing here needs Django to be set up before."""

import django
from django.dispatch import Signal

published = Signal()


def record(**kwargs):
    """A receiver."""


def send(signal, pipe):
    """Set Django up, and report who receives a signal that came from another process."""
    django.setup()
    signal.connect(record)
    pipe.send(([receiver.__name__ for receiver, _ in signal.send(sender=None)], repr(signal)))
