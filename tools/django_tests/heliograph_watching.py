"""The same with every model watched: its rows are remembered, and each save is asked what it changed."""

from heliograph_settings import *  # noqa: F403

from heliograph import changed, receiver
from heliograph.signals import post_save, pre_save


@receiver([pre_save, post_save], when=changed())
def note(**kwargs):
    """Hear what changes."""
