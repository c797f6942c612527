"""What every test shares."""

import pytest
from hypothesis import settings

# Cells of the matrix share the processors, so a slow example says nothing about the code.
settings.register_profile("heliograph", deadline=None)
settings.load_profile("heliograph")

# Files and folders whose tests do not touch the database of the test settings.
DATABASE_INDEPENDENT = {"dispatch", "test_demo.py", "test_docs.py", "test_tools.py"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that are the same on every database."""
    for item in items:
        if not DATABASE_INDEPENDENT.isdisjoint(item.path.parts):
            item.add_marker(pytest.mark.database_independent)
