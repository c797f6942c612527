"""The settings of Django's own test suite with a runner that reports what failed."""

from test_sqlite import *  # noqa: F403  (Django's settings for this suite, as they are)

TEST_RUNNER = "heliograph_runner.Runner"
