"""Fixtures of all tests: receivers that are connected during a test, and databases that are emptied after it."""

import gc
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, NamedTuple

import pytest
from asgiref.sync import sync_to_async
from django.apps import apps
from django.db import connection, connections
from django.test import TransactionTestCase

from heliograph import BeforeCommit, receiver
from tests.helpers.bare import stop_server
from tests.helpers.emptying import filled_tables
from tests.helpers.fresh import fresh


class Received(NamedTuple):
    """One call of a receiver."""

    sender: Any
    payload: dict[str, Any]


@pytest.fixture
def listen() -> Iterator[Any]:
    """Connect a receiver for a test: `received = listen(post_save, sender=Novel)` is the list of its calls."""
    with ExitStack() as stack:

        def connect(signal, sender=None, **options):
            received = []

            def record(signal, sender, **payload):
                received.append(Received(sender, payload))

            connect_for_now(stack, signal, record, sender=sender, **options)
            return received

        yield connect


@pytest.fixture
def connect() -> Iterator[Any]:
    """Connect the given receiver for the time of a test."""
    with ExitStack() as stack:

        def connect(signal, receiver, **options):
            connect_for_now(stack, signal, receiver, **options)
            return receiver

        yield connect


@pytest.fixture
def receive() -> Iterator[Any]:
    """Be `heliograph.receiver` for the time of a test."""
    with ExitStack() as stack:

        def receive(signal, **options):
            def connect(function):
                for one in signal if isinstance(signal, list) else [signal]:
                    stack.callback(one.disconnect, function, **place_of(options))
                return receiver(signal, **options)(function)

            return connect

        yield receive


@pytest.fixture
def batches_at_the_end(receive):
    """Connect a receiver of batches: `received = batches_at_the_end(post_delete, sender=Desk)` is the list."""

    def connect(signal, policy=BeforeCommit, **options):
        received = []

        @receive(signal, delivery=policy(batch=True), **options)
        def record(sender, batch, **kwargs):
            received.append(batch)

        return received

    return connect


def connect_for_now(stack, signal, receiver, **options):
    """Connect a receiver, which the stack keeps alive until it disconnects it."""
    signal.connect(receiver, **options)
    stack.callback(signal.disconnect, receiver, **place_of(options))


def place_of(options):
    return {name: options[name] for name in ("sender", "dispatch_uid", "subclasses") if name in options}


@pytest.fixture
def fresh_database(django_db_blocker) -> Iterator[Any]:
    """Make databases that nobody has migrated: `fresh_database("name")` is an entry of DATABASES."""
    with django_db_blocker.unblock(), ExitStack() as stack:
        yield lambda *arguments: stack.enter_context(fresh(*arguments))


@pytest.fixture
async def async_database(transactional_db):
    """A database for async tests: the connection of their worker thread is closed where it was opened."""
    yield
    await sync_to_async(connections.close_all)()


@pytest.fixture
def fresh_connection():
    """Leave no connection behind that is lost: the next test would have it."""
    yield
    connection.close()


@pytest.fixture
def no_kept_error():
    """Let go of the last error that rolled a block back: Django keeps it, with the receivers in its traceback."""
    for one in connections.all():
        one.rollback_exc = None
    gc.collect()


@pytest.fixture(scope="session", autouse=True)
def _processes_end():
    yield
    stop_server()


@pytest.fixture(scope="session", autouse=True)
def _tables_are_emptied_where_they_have_rows():
    """After a test with transactions, empty the few tables that have rows, where Django empties all of them.

    Django would also fill in content types and permissions then, which are not missed.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", _empty)
        yield


def _empty(self):
    for alias in self._databases_names(include_mirrors=False):
        filled_tables(alias).empty()
    if apps.is_installed("django.contrib.contenttypes"):  # the crash tests have a project without it
        apps.get_model("contenttypes", "ContentType").objects.clear_cache()


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup):
    """End the sessions that have emptied tables before the databases are dropped."""
    yield
    for alias in connections:
        filled_tables(alias).close()


@pytest.fixture(scope="session", autouse=True)
def _tables_are_emptied_row_by_row():
    """Let PostgreSQL delete the few rows of a test: TRUNCATE makes a file for each table, and waits for the disk."""
    if connection.vendor != "postgresql":
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(connection.ops), "sql_flush", _deletions)
        yield


def _deletions(ops, style, tables, **options):
    return [f"DELETE FROM {ops.quote_name(table)}" for table in tables]  # in any order: constraints are deferred
