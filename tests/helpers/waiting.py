"""Waiting for facts of which no signal comes."""

import threading
from collections import Counter
from contextlib import suppress

import pytest
from django.db import Error

from heliograph.outbox.models import Delivery

# How long anything may take, in seconds, on a machine that does much else.
LONG = 60


def until(condition):
    """Wait until something is so, and return what was answered then."""
    pause = threading.Event()
    for _ in range(LONG * 100):
        with suppress(Error):
            if found := condition():
                return found
        pause.wait(0.01)
    states = Counter(Delivery.objects.values_list("state", flat=True))
    pytest.fail(f"it was never so within {LONG} s: {states}")
