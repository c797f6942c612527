"""The fixtures of the plugin, also where the package is not installed, so that its entry point is not known."""

from _heliograph_pytest import outbox, signals  # noqa: F401 - fixtures
