"""The same with receivers of the bulk writes of every model: what is written, returned and raised must not differ.

Rows are asked for all that receivers may ask for. More statements are made, so tests that count these count nothing.
"""

from django.test import testcases
from django.test.utils import CaptureQueriesContext
from heliograph_settings import *  # noqa: F403

from heliograph import receiver
from heliograph.signals import (
    deletion_asked,
    m2m_changes,
    post_bulk_create,
    post_bulk_delete,
    post_bulk_update,
    post_update,
    pre_bulk_create,
    pre_bulk_delete,
    pre_bulk_update,
    pre_update,
)

testcases._AssertNumQueriesContext.__exit__ = CaptureQueriesContext.__exit__


@receiver([pre_bulk_create, pre_bulk_update, pre_update, pre_bulk_delete, deletion_asked, m2m_changes])
def receive(**kwargs):
    """Receive what is about to be written."""


@receiver([post_bulk_create, post_bulk_update, post_update, post_bulk_delete])
def look(sender, batch, **kwargs):
    """Look at all that a batch says of each row."""
    for event in batch.events:
        assert event.pk is not None or event.kind == "created", event
        assert event.changes is not None
