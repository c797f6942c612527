"""What every test shares."""

import signal

import pytest
from hypothesis import settings

pytest_plugins = ["tests.helpers.fixtures"]

# Cells of the matrix share the processors, so a slow example says nothing about the code.
settings.register_profile("heliograph", deadline=None)
settings.load_profile("heliograph")

# Files and folders whose tests do not touch the database of the test settings.
DATABASE_INDEPENDENT = {
    "dispatch",
    *(
        "test_adoption.py",
        "test_releasing.py",
        "test_signals_command.py",
        "test_debug_toolbar.py",
        "test_deprecation.py",
    ),
    *("test_foreign_signals.py", "test_lifetimes.py"),
    *("test_monitoring.py", "test_processes.py", "test_subclasses_of_signal.py"),
    *("test_demo.py", "test_docs.py", "test_fragments.py", "test_package.py", "test_promises.py", "test_release.py"),
    *("test_repository.py", "test_tools.py", "test_vendors.py"),
}
# Files whose tests are about statements or workers, which depend on the database and on Django, or about the shop.
PYTHON_INDEPENDENT = {
    *(
        "test_attacked.py",
        "test_deletes.py",
        "test_cascades.py",
        "test_whole_transactions.py",
        "test_relations.py",
        "test_create.py",
        "test_bulk_update.py",
        "test_update.py",
        "test_beside_others.py",
    ),
    "test_demo.py",
    "test_backends.py",
    "test_notified_again.py",
    "test_conformance.py",
}


def pytest_configure(config: pytest.Config) -> None:
    """Let Ctrl-C end what is tested: a shell has what it runs in the background ignore it, and so do its processes."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that are the same on every database, or on every Python."""
    for item in items:
        if item.path.name in PYTHON_INDEPENDENT:
            item.add_marker(pytest.mark.python_independent)
        if not DATABASE_INDEPENDENT.isdisjoint(item.path.parts):
            item.add_marker(pytest.mark.database_independent)
