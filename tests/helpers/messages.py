"""Patterns of the messages that errors have."""

import re


def exactly(text):
    """Return the pattern of a whole message."""
    return f"^{re.escape(text)}$"
