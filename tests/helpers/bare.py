"""A Django project for a Python process of its own, where adoption can be watched from the start."""

import ast
import functools
import json
import os
import subprocess
import sys
import tempfile
from importlib import import_module
from pathlib import Path
from textwrap import dedent

ROOT = Path(__file__).resolve().parents[2]

# The modules that most scripts need, and that need no settings themselves: a fork has them without an import.
IMPORTED_ONCE = (
    *("django.core.management", "django.db.backends.sqlite3.base", "django.db.models", "django.urls"),
    *("django.utils.log", "django.views.debug", "django.views.generic"),
    *("heliograph.adoption", "heliograph.apps", "heliograph.checks", "sentry_sdk.integrations.django"),
)


def configure(**given):
    """Do what a settings module does, and no more: Django is not set up yet."""
    from django.conf import settings

    memory = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
    settings.configure(
        **{"INSTALLED_APPS": ["heliograph"], "DATABASES": {"default": memory}, "USE_TZ": True, **given},
    )


def run(script, early="", fresh=False, **settings):
    """Run a script in a process of its own, and return what it passes to `report()`, a list.

    `early` runs where a settings module would: before Django is set up. In a `fresh` process nothing was imported.
    """
    lines = [
        "import django",
        "from tests.helpers.bare import configure, report",
        f"configure(**{settings!r})",
        dedent(early),
        "django.setup()",
        dedent(script),
    ]
    with tempfile.TemporaryDirectory() as folder:
        order = {"script": "\n".join(lines), "out": f"{folder}/out", "err": f"{folder}/err"}
        ended_well = (_run_in_fork if hasattr(os, "fork") and not fresh else _run_afresh)(order)
        assert ended_well, Path(order["err"]).read_text()
        reported = Path(order["out"]).read_text().splitlines()
    return [ast.literal_eval(json.loads(line)) for line in reported]


def report(*values):
    """Print values, one a line, for `run()` to return."""
    for value in values:
        sys.stdout.write(json.dumps(repr(value)) + "\n")


def _run_afresh(order):
    with Path(order["out"]).open("w") as out, Path(order["err"]).open("w") as err:
        command = [sys.executable, "-c", order["script"]]
        done = subprocess.run(command, cwd=ROOT, env=_environment(), stdout=out, stderr=err, check=False)
        return done.returncode == 0


# --- a process that has imported Django already, and forks for each script: an import takes longer than a script --


def _run_in_fork(order):
    server = _server()
    server.stdin.write(json.dumps(order) + "\n")
    server.stdin.flush()
    return server.stdout.readline() == "0\n"


# At its end an interpreter looks for garbage among all objects, which takes it longer than most scripts run.
_SERVER = """
from tests.helpers.bare import next_script
exec(next_script())
import gc
gc.freeze()
"""


@functools.cache
def _server():
    command = [sys.executable, "-c", _SERVER]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, env=_environment(), stdin=pipe, stdout=pipe, text=True)


def stop_server():
    """End the process that forks."""
    if _server.cache_info().currsize:
        _server().communicate()
        _server.cache_clear()


def next_script():
    """Fork for each order that comes in; return in the child, with its script, and in the parent at the end."""
    for module in IMPORTED_ONCE:
        import_module(module)

    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if not child:
            _redirect(order)
            return order["script"]
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{status}\n")
        sys.stdout.flush()
    return ""


def _redirect(order):
    for name, stream in (("out", sys.stdout), ("err", sys.stderr)):
        opened = os.open(order[name], os.O_CREAT | os.O_WRONLY)
        os.dup2(opened, stream.fileno())
        os.close(opened)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, sys.stdin.fileno())
    os.close(null)


def _environment():
    here = [str(ROOT), *(path for path in [os.environ.get("PYTHONPATH", "")] if path)]
    return {
        **{name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"},
        "PYTHONPATH": os.pathsep.join(here),
    }
