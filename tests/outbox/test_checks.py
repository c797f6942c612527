"""The system checks of the outbox: of its settings, of durable receivers, and of databases."""

import ast
import functools
import subprocess
import sys
from types import SimpleNamespace

import pytest
from django.core.checks import registry as checks_registry
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import connection
from django.db.utils import ConnectionHandler

from heliograph import Durable, Inline, Signal
from heliograph.databases.sqlite import RECOMMENDED_OPTIONS
from heliograph.outbox import database_checks
from heliograph.outbox.checks import check_backends, check_installed, check_names, check_queues, check_settings
from heliograph.outbox.database_checks import check_databases
from heliograph.outbox.notify.backend import Backend

sent = Signal(name="shop.sent")
returned = Signal(name="shop.returned")

only_sqlite = pytest.mark.skipif(connection.vendor != "sqlite", reason="it is about SQLite")


def record(**payload):
    """A receiver."""


def another(**payload):
    """Another receiver."""


class Recorder:
    def record(self, **payload):
        """A receiver that is a method."""

    def __call__(self, **payload):
        """A receiver that is an object."""


def ids(messages):
    return [message.id for message in messages]


def only(messages):
    (message,) = messages
    return message


# --- settings -----------------------------------------------------------------------------------------------------


def test_no_settings_are_fine():
    assert check_settings(None) == []


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ([], "HELIOGRAPH_OUTBOX must be a dict of backends, not []."),
        (
            {"default": {"KEPT": 3}},
            "HELIOGRAPH_OUTBOX['default'] has no 'KEPT': it takes BACKEND, OPTIONS, KEEP, LEASE.",
        ),
        (
            {"default": {"KEEP": 3}},
            "HELIOGRAPH_OUTBOX['default']['KEEP'] takes a timedelta of more than nothing, not 3.",
        ),
    ],
)
def test_settings_that_make_no_sense_are_an_error(settings, given, text):
    settings.HELIOGRAPH_OUTBOX = given
    message = only(check_settings(None))
    assert (message.id, message.msg) == ("heliograph.E101", text)


def test_other_checks_say_nothing_about_them(settings, connect):
    settings.HELIOGRAPH_OUTBOX = []
    connect(sent, record, delivery=Durable(backend="gone"))
    assert check_backends(None) == []


@pytest.mark.parametrize("path", ["shop.backends.Missing", "nonsense", "heliograph.outbox.backends.database.Missing"])
def test_a_backend_that_cannot_be_imported_is_an_error(settings, path):
    settings.HELIOGRAPH_OUTBOX = {"external": {"BACKEND": path}}
    message = only(check_settings(None))
    assert message.id == "heliograph.E102"
    assert message.msg.startswith("The backend 'external' of HELIOGRAPH_OUTBOX cannot be used: ")


def test_an_option_that_a_backend_does_not_have_is_an_error(settings):
    settings.HELIOGRAPH_OUTBOX = {"default": {"OPTIONS": {"SPEED": 3}}}
    assert ids(check_settings(None)) == ["heliograph.E102"]


# --- receivers ----------------------------------------------------------------------------------------------------


def test_a_receiver_whose_backend_is_in_the_settings_is_fine(connect):
    connect(sent, record, delivery=Durable())
    assert check_backends(None) == []


def test_a_receiver_whose_backend_is_not_is_an_error(connect):
    connect(sent, record, delivery=Durable(backend="external"))
    message = only(check_backends(None))
    assert (message.id, message.msg) == (
        "heliograph.E103",
        "Durable(backend='external') names no backend of the settings.",
    )
    assert message.hint == "HELIOGRAPH_OUTBOX has 'default'."


def test_an_error_names_the_receiver_with_its_file(connect):
    connect(sent, record, delivery=Durable(backend="external"))
    message = only(check_backends(None))
    assert message.obj == f"{__name__}.record ({__file__}:{record.__code__.co_firstlineno})"


def test_a_receiver_of_several_signals_is_named_once(connect):
    connect(sent, record, delivery=Durable(backend="external"))
    connect(returned, record, delivery=Durable(backend="external"))
    assert len(check_backends(None)) == 1


def test_a_receiver_is_named_if_one_of_its_policies_is_wrong(connect):
    connect(sent, record, delivery=Durable())
    connect(returned, record, delivery=Durable(backend="external"))
    assert len(check_backends(None)) == 1


def test_a_receiver_that_had_another_name_is_named_once(connect):
    connect(sent, record, delivery=Durable(backend="external", aliases=["shop.record"]))
    assert len(check_backends(None)) == 1


class Choosy(Backend):
    """A backend that knows one queue."""

    options = {}  # noqa: RUF012 - as the base declares it

    def verify(self, queue):
        if queue != "mail":
            raise ImproperlyConfigured(f"There is no queue {queue!r}.")

    def notify(self, using, ids, queue):
        """Tell nobody."""


def test_a_receiver_whose_backend_cannot_be_notified_of_its_queue_is_an_error(connect, settings):
    settings.HELIOGRAPH_OUTBOX = {"external": {"BACKEND": f"{__name__}.Choosy"}}
    connect(sent, record, delivery=Durable(backend="external", queue="mail"))
    assert check_queues(None) == []
    connect(returned, another, delivery=Durable(backend="external", queue="slow"))
    message = only(check_queues(None))
    assert (message.id, message.msg) == ("heliograph.E110", "There is no queue 'slow'.")
    assert "another" in message.obj


def test_a_backend_that_there_is_not_has_no_queues(connect):
    connect(sent, record, delivery=Durable(backend="external"))
    assert check_queues(None) == []


@pytest.mark.parametrize(
    "receiver",
    [record, Recorder().record, Recorder(), functools.partial(record, number=3)],
    ids=["function", "method", "object", "partial"],
)
def test_a_receiver_that_can_be_found_by_its_name_is_fine(connect, receiver):
    connect(sent, receiver, delivery=Durable())
    assert check_names(None) == []


def test_a_lambda_is_an_error(connect):
    connect(sent, lambda **payload: None, delivery=Durable())
    message = only(check_names(None))
    assert (message.id, message.msg) == (
        "heliograph.E104",
        "A worker, which is another process, cannot find this receiver by its name.",
    )


def test_a_local_function_is_an_error(connect):
    def local(**payload):
        """A receiver."""

    connect(sent, local, delivery=Durable())
    assert ids(check_names(None)) == ["heliograph.E104"]


def test_a_function_of_the_script_that_runs_is_an_error(connect, monkeypatch):
    monkeypatch.setattr(another, "__module__", "__main__")
    connect(sent, another, delivery=Durable())
    assert ids(check_names(None)) == ["heliograph.E104"]


def test_a_lambda_that_is_called_at_once_is_fine(connect):
    connect(sent, lambda **payload: None, delivery=Inline())
    assert check_names(None) == []


def test_one_receiver_of_two_signals_is_fine(connect):
    connect(sent, record, delivery=Durable())
    connect(returned, record, delivery=Durable())
    assert check_names(None) == []


def test_two_receivers_with_one_name_are_an_error(connect):
    recorders = Recorder(), Recorder()
    for recorder in recorders:
        connect(sent, recorder.record, delivery=Durable())
    message = only(check_names(None))
    assert (message.id, message.msg) == (
        "heliograph.E105",
        f"2 durable receivers are named {__name__}.Recorder.record: a worker would call only one of them.",
    )


def test_a_receiver_that_is_gone_is_no_error():
    def fleeting(**payload):
        """A receiver."""

    sent.connect(fleeting, delivery=Durable())
    del fleeting
    assert check_names(None) == []


# The outbox, and the app that has durable receivers.
WITH_DELIVERIES = ["heliograph.outbox", "heliograph.recipes.webhooks"]


def test_durable_receivers_need_the_app(connect, settings):
    connect(sent, record, delivery=Durable())
    settings.INSTALLED_APPS = [app for app in settings.INSTALLED_APPS if app not in WITH_DELIVERIES]
    message = only(check_installed(None))
    assert (message.id, message.hint) == (
        "heliograph.E106",
        "Add 'heliograph.outbox' to INSTALLED_APPS, and migrate.",
    )


def test_nobody_else_does(settings):
    settings.INSTALLED_APPS = [app for app in settings.INSTALLED_APPS if app not in WITH_DELIVERIES]
    assert check_installed(None) == []


def test_with_the_app_there_is_no_error(connect):
    connect(sent, record, delivery=Durable())
    assert check_installed(None) == []


# --- databases ----------------------------------------------------------------------------------------------------


of_postgresql = pytest.mark.skipif(connection.vendor != "postgresql", reason="Only there has a database such a limit")
of_mysql = pytest.mark.skipif(connection.vendor != "mysql", reason="Only there has an account such a limit")


@pytest.mark.django_db
def test_a_database_that_allows_enough_connections_is_fine():
    assert [one for one in check_databases(None, databases=["default"]) if one.id == "heliograph.W104"] == []


@of_postgresql
@pytest.mark.django_db
def test_a_database_that_allows_fewer_connections_than_a_worker_needs_is_warned_of():
    database = connection.ops.quote_name(connection.settings_dict["NAME"])
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER DATABASE {database} CONNECTION LIMIT 3")
    message = only(check_databases(None, databases=["default"]))
    assert (message.id, message.msg, message.hint) == (
        "heliograph.W104",
        "This user may have 3 connections at once, and a worker needs 4: one for each of its threads, one to listen,"
        " one to renew leases, and one to look after the table. They are not those of a pool.",
        "Allow the user of the database more connections.",
    )


@of_mysql
@pytest.mark.django_db(transaction=True)
def test_an_account_that_is_allowed_fewer_connections_than_a_worker_needs_is_warned_of(monkeypatch):
    account = f"few_{connection.settings_dict['NAME']}"[:32]
    password = connection.settings_dict["PASSWORD"]
    with connection.cursor() as cursor:
        cursor.execute("CREATE USER %s@'%%' IDENTIFIED BY %s WITH MAX_USER_CONNECTIONS 2", [account, password])
        cursor.execute(f"GRANT ALL ON {connection.ops.quote_name(connection.settings_dict['NAME'])}.* TO %s", [account])
        handler = ConnectionHandler({"default": {**connection.settings_dict, "USER": account}})
        monkeypatch.setattr(database_checks, "connections", handler)
        try:
            assert ids(check_databases(None, databases=["default"])) == ["heliograph.W104"]
        finally:
            handler.close_all()
            cursor.execute("DROP USER %s@'%%'", [account])


def sqlite(monkeypatch, name, **options):
    """Have one database, which is a file of SQLite."""
    handler = ConnectionHandler(
        {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": str(name), "OPTIONS": options}}
    )
    monkeypatch.setattr(database_checks, "connections", handler)
    return handler


@pytest.fixture
def messages(monkeypatch, tmp_path, django_db_blocker):
    """Return what the checks say of a database of SQLite with such options, which is not that of the tests."""
    handlers = []

    def check(name=tmp_path / "shop.sqlite3", **options):
        handlers.append(sqlite(monkeypatch, name, **options))
        return check_databases(None, databases=["default"])

    with django_db_blocker.unblock():
        yield check
        for handler in handlers:
            handler.close_all()


WAL = {"init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"}


def test_a_database_with_the_settings_of_the_hint_is_fine(messages):
    settings = ast.literal_eval(f"{{{RECOMMENDED_OPTIONS}}}")
    assert messages(**settings["OPTIONS"]) == []


def test_a_database_without_a_write_ahead_log_is_warned_of(messages):
    assert ids(messages(transaction_mode="IMMEDIATE")) == ["heliograph.W102"]


@pytest.mark.parametrize("mode", [None, "DEFERRED", "deferred"])
def test_a_database_whose_transactions_begin_without_a_lock_is_warned_of(messages, mode):
    assert ids(messages(**WAL, transaction_mode=mode)) == ["heliograph.W103"]


@pytest.mark.parametrize("mode", ["IMMEDIATE", "immediate", "EXCLUSIVE"])
def test_one_whose_transactions_begin_with_a_lock_is_fine(messages, mode):
    assert messages(**WAL, transaction_mode=mode) == []


def test_a_warning_has_the_settings_to_copy(messages):
    assert only(messages(**WAL)).hint == (
        'Set in DATABASES[\'default\']: "OPTIONS": {"init_command": "PRAGMA journal_mode=WAL; PRAGMA'
        ' synchronous=NORMAL;", "transaction_mode": "IMMEDIATE"}.'
    )


def test_a_warning_names_the_database(messages):
    assert only(messages(**WAL)).obj == "DATABASES['default']"


def test_a_database_in_memory_is_warned_of(messages):
    assert ids(messages(name=":memory:")) == ["heliograph.W101"]


def test_one_that_django_makes_for_tests_is_fine(messages):
    assert messages(name="file:memorydb_default?mode=memory&cache=shared") == []


def test_an_old_sqlite_is_an_error(messages, monkeypatch):
    from django.db.backends.sqlite3.base import Database

    monkeypatch.setattr(Database, "sqlite_version_info", (3, 34, 1))
    message = only(messages(**WAL, transaction_mode="IMMEDIATE"))
    assert message.id == "heliograph.E109"
    assert message.msg.startswith("SQLite 3.34.1 cannot")


@pytest.mark.parametrize("name", ["/nowhere/shop.sqlite3", "/"])
def test_nothing_is_said_of_a_database_that_does_not_open(messages, name):
    assert messages(name=name) == []


@pytest.mark.parametrize("engine", ["postgresql", "mysql"])
def test_nothing_is_said_of_a_server_that_does_not_answer(monkeypatch, django_db_blocker, engine):
    pytest.importorskip({"postgresql": "psycopg", "mysql": "MySQLdb"}[engine])
    settings = {"ENGINE": f"django.db.backends.{engine}", "NAME": "shop", "HOST": "127.0.0.1", "PORT": 1}
    monkeypatch.setattr(database_checks, "connections", ConnectionHandler({"default": settings}))
    with django_db_blocker.unblock():
        assert check_databases(None, databases=["default"]) == []


@pytest.mark.django_db
@pytest.mark.skipif(connection.vendor == "sqlite", reason="the tests have a SQLite of their own")
def test_the_servers_of_these_tests_are_fine():
    assert check_databases(None, databases=["default"]) == []


@pytest.mark.django_db
@pytest.mark.skipif(connection.vendor != "mysql", reason="it is about MariaDB and MySQL")
def test_a_server_that_cannot_skip_what_is_locked_is_an_error(monkeypatch):
    monkeypatch.setitem(vars(connection.features), "has_select_for_update_skip_locked", False)
    message = only(check_databases(None, databases=["default"]))
    assert message.id == "heliograph.E108"
    assert "has no SKIP LOCKED" in message.msg


def test_a_database_that_the_outbox_does_not_know_is_an_error(monkeypatch):
    oracle = SimpleNamespace(vendor="oracle", alias="default")
    monkeypatch.setattr(database_checks, "connections", {"default": oracle})
    message = only(check_databases(None, databases=["default"]))
    assert (message.id, message.msg) == (
        "heliograph.E107",
        "The outbox runs on postgresql, mysql, sqlite, and not on oracle.",
    )


def test_a_database_without_the_table_is_not_looked_at(messages, settings):
    settings.DATABASE_ROUTERS = [NothingOnDefault()]
    assert messages() == []


class NothingOnDefault:
    def allow_migrate(self, db, app_label, **hints):
        return db != "default"


def test_no_database_is_looked_at_unless_it_is_asked_for():
    assert check_databases(None) == []


# --- together -----------------------------------------------------------------------------------------------------


@pytest.mark.django_db(databases=["default", "other"])
@only_sqlite
def test_the_command_check_makes_those_of_databases_where_one_is_named(capsys):
    call_command("check", databases=["default"])
    assert "heliograph.W103" in capsys.readouterr().err


def test_all_of_them_are_registered():
    registered = checks_registry.registry.get_checks()
    assert {check_settings, check_backends, check_names, check_databases} <= {*registered}


def test_a_project_without_the_app_can_have_the_check_that_it_is_missing():
    program = "import heliograph.outbox.checks as checks, sys; assert 'heliograph.outbox.models' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)
