"""A process that was started for a management command has its name in the context: group W of the cases."""

import os
import subprocess
import sys

import pytest

from heliograph.context.of_command import command_in

LOOK = (
    "from heliograph.context import current; one = current();"
    " print(repr((one.command, one.actor, one.traceparent[:3])))"
)


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["manage.py", "import_products", "--all"], "import_products"),
        (["/srv/shop/manage.py", "migrate"], "migrate"),
        (["/usr/bin/django-admin", "check"], "check"),
        (["/lib/django/__main__.py", "check"], "check"),
        (["manage.py"], ""),
        (["manage.py", "--help"], ""),
        (["manage.py", "runserver"], ""),
        (["manage.py", "test"], ""),
        (["/usr/bin/gunicorn", "mysite.wsgi"], ""),
        (["/lib/celery/__main__.py", "worker"], ""),
        ([], ""),
    ],
)
def test_the_command_of_a_process_is_in_its_arguments(arguments, name):
    assert command_in(arguments) == name


def test_w9_a_command_has_its_name_and_a_trace_and_no_actor():
    assert ran("-m", "django", "shell", "--no-imports", "-c", LOOK) == "('shell', None, '00-')"


def test_w9_a_process_without_a_command_has_no_context():
    assert ran("-c", f"import django; django.setup(); {LOOK}") == "('', None, '')"


def test_w9_the_threads_of_a_command_have_no_context():
    threads = (
        "from concurrent.futures import ThreadPoolExecutor; from heliograph.context import current;"
        " print(repr(ThreadPoolExecutor(1).submit(lambda: current().command).result()))"
    )
    assert ran("-m", "django", "shell", "--no-imports", "-c", threads) == "''"


def ran(*arguments):
    """Run Python with the settings of the tests, and return what it prints."""
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"}
    command = [sys.executable, *arguments]
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout.strip()
