"""What the crash tests share: the database, processes, and the lines that say what was counted."""

import fcntl
import os
import shutil
import tempfile
from functools import partial
from pathlib import Path

import pytest

from tests.helpers.databases import SQLITE_FOLDER

IS_OURS = os.environ.get("DJANGO_SETTINGS_MODULE") == "tests.crash.settings"
# The usual run has another project, without these models: `make test-crash` runs these.
collect_ignore_glob = [] if IS_OURS else ["test_*.py"]

LINES = pytest.StashKey[list]()


@pytest.fixture(scope="session")
def _alone():
    """Keep other runs away from the database: their workers would make what this one sends."""
    SQLITE_FOLDER.mkdir(exist_ok=True)
    with (SQLITE_FOLDER / f"crash.{os.environ.get('HELIOGRAPH_TEST_DATABASE', 'sqlite')}.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pytest.exit("Another run of the crash tests has this database: wait for its end", returncode=1)
        yield


@pytest.fixture(scope="session", autouse=True)
def _database(_alone, django_db_blocker):
    from django.db import connection

    if connection.vendor == "sqlite":  # what killed processes have left beside the file is not for the next one
        for file in SQLITE_FOLDER.glob("crash.sqlite3*"):
            file.unlink()
    name = connection.settings_dict["NAME"]
    with django_db_blocker.unblock():
        connection.creation.create_test_db(verbosity=0, autoclobber=True)
        yield
        connection.creation.destroy_test_db(name, verbosity=0)


@pytest.fixture(autouse=True)
def _empty(_database):
    """Begin with nothing."""
    from django.apps import apps

    for model in apps.get_models():
        model.objects.all().delete()


@pytest.fixture
def folder():
    """A folder for the pipes and the outputs of the processes of a test."""
    path = Path(tempfile.mkdtemp(prefix="heliograph_crash_"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def nursery():
    from tests.crash.processes import Nursery

    nursery = Nursery()
    yield nursery
    nursery.end()


@pytest.fixture
def start(nursery, folder):
    """Start a process of the project; it does not outlive the test."""
    from tests.crash.processes import Process

    started = []

    def start(*arguments, **options):
        process = Process(nursery, folder, arguments, **options)
        started.append(process)
        return process

    yield start
    for process in started:
        if process.is_alive():
            process.kill()
        print(process)  # pytest shows it if the test has failed


@pytest.fixture
def work(start):
    """Start a worker."""

    def work(*arguments, **options):
        return start("outbox", "run", *arguments, **options)

    return work


@pytest.fixture
def work_in_batches(work):
    """Start a worker that claims 1, 4, 16 deliveries and so on, also where others leave it little of the processor."""
    return partial(work, HELIOGRAPH_CRASH_SECONDS_CLAIMED="1000")


@pytest.fixture
def report(request):
    """Say what was counted, and fail if anything was lost or done twice."""
    from django.db import connection

    database = {"mysql": "mariadb"}.get(connection.vendor, connection.vendor)

    def report(scenario, count):
        line = f"{scenario} on {database}: {count}"
        request.config.stash.setdefault(LINES, []).append(line)
        assert (count.lost, count.twice) == (0, 0), line
        assert count.sent == count.done > 0, line

    return report


def pytest_terminal_summary(terminalreporter, config):
    lines = config.stash.get(LINES, [])
    if lines:
        terminalreporter.section("what was counted in the database")
        terminalreporter.write("\n".join([*lines, ""]))
