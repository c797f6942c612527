"""What every test shares."""

import gc
import signal
from collections.abc import Generator
from functools import cache
from pathlib import Path

import pytest
from hypothesis import settings

pytest_plugins = ["tests.helpers.fixtures"]

HERE = Path(__file__).parent

# Cells of the matrix share the processors, so a slow example says nothing about the code.
settings.register_profile("heliograph", deadline=None)
settings.load_profile("heliograph")

# Folders and files whose tests do not touch the database of the test settings: pytest-django refuses them any database,
# or they start processes with a database of their own, such as the shop.
DATABASE_INDEPENDENT = (
    "adoption/test_adoption.py",
    "adoption/test_debug_toolbar.py",
    "adoption/test_installed.py",
    "adoption/test_lifetimes.py",
    "adoption/test_monitoring.py",
    "adoption/test_processes.py",
    "adoption/test_releasing.py",
    "adoption/test_subclasses_of_signal.py",
    "audit/test_importing.py",
    "context/test_carried.py",
    "context/test_commands.py",
    "context/test_tasks.py",
    "databases/test_vendors.py",
    "dispatch",
    "flow/test_explain.py",
    "flow/test_explain_command.py",
    "flow/test_asyncapi.py",
    "flow/test_check_drift.py",
    "flow/test_cycles.py",
    "flow/test_signals_command.py",
    "flow/test_signals_list.py",
    "flow/test_signals_patches.py",
    "flow/test_source_checks.py",
    "flow/test_trace.py",
    "receivers/test_foreign_signals.py",
    "receivers/test_mistakes.py",
    "receivers/test_refused_conditions.py",
    "recipes/test_tutorial_page.py",
    "recipes/test_work.py",
    "test_demo.py",
    "test_deprecation.py",
    "test_docs.py",
    "test_fragments.py",
    "test_links.py",
    "test_load.py",
    "test_package.py",
    "test_pictures.py",
    "test_promises.py",
    "test_quoted_figures.py",
    "test_recipe_benchmarks.py",
    "test_release.py",
    "test_repository.py",
    "test_shop_payments.py",
    "test_tools.py",
    "test_tutorial.py",
    "test_words.py",
    "testing/test_listening.py",
    "testing/test_plugin.py",
    "testing/test_recorded.py",
)
# Those about statements or workers, which depend on the database and on Django, or about the shop.
PYTHON_INDEPENDENT = (
    "bulk/test_attacked.py",
    "bulk/test_beside_others.py",
    "bulk/test_bulk_update.py",
    "bulk/test_cascades.py",
    "bulk/test_create.py",
    "bulk/test_deletes.py",
    "bulk/test_relations.py",
    "bulk/test_update.py",
    "bulk/test_whole_transactions.py",
    "databases/test_conformance.py",
    "databases/test_partitions_of_tables.py",
    "outbox/test_backends.py",
    "outbox/test_notified_again.py",
    "test_demo.py",
    "test_load.py",
    "test_recipe_benchmarks.py",
    "test_shop_payments.py",
    "test_tutorial.py",
)


def pytest_configure(config: pytest.Config) -> None:
    """Let Ctrl-C end what is tested: a shell has what it runs in the background ignore it, and so do its processes."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that are the same on every database or on every Python, and those that need a browser."""
    for item in items:
        for marker in markers(item.path):
            item.add_marker(marker)


@cache
def markers(path: Path) -> list[pytest.MarkDecorator]:
    """Return the markers of the tests in a file."""
    marked = (
        (pytest.mark.browser, ("browser",)),
        (pytest.mark.database_independent, DATABASE_INDEPENDENT),
        (pytest.mark.python_independent, PYTHON_INDEPENDENT),
    )
    around = {path, *path.parents}
    return [marker for marker, paths in marked if not around.isdisjoint(HERE / one for one in paths)]


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Look for no garbage while tests are collected: nearly all that comes stays, and each look costs more."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


def pytest_collection_finish() -> None:
    """Let garbage collection pass over the collected tests and their modules, which take it a third of a second."""
    gc.collect()
    gc.freeze()
