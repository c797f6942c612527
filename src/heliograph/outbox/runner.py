"""The old address of `drain`, which is now in `heliograph.outbox`."""

from typing import TYPE_CHECKING

from heliograph.deprecation import moved

if TYPE_CHECKING:
    from heliograph.outbox.work.runner import drain as drain

__getattr__ = moved(__name__, {"drain": "heliograph.outbox.drain"}, removed_in="1.0")
