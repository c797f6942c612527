"""The same with every model watched: its rows are remembered, and each save is asked what it changed.

A second receiver waits for the commit of each save, where Django makes one.
"""

from django.db import connections
from heliograph_settings import *  # noqa: F403

from heliograph import OnCommit, changed, receiver
from heliograph.signals import post_save, pre_save


@receiver([pre_save, post_save], when=changed())
def note(**kwargs):
    """Hear what changes."""


def is_committed(using, **kwargs):
    """Return whether Django commits; otherwise to wait for it is an error."""
    connection = connections[using]
    return connection.commit_on_exit if connection.in_atomic_block else connection.get_autocommit()


@receiver([pre_save, post_save], when=is_committed, delivery=OnCommit())
def wait(**kwargs):
    """Hear what is committed."""
