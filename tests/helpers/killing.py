"""Processes that kill themselves in the middle of a save, each a little later than the one before."""

import gc
import os
import signal
import sys
from itertools import count
from textwrap import dedent

from django.conf import settings
from django.db import connection, connections

from tests.helpers.bare import run

# A kill takes a process with a connection of its own, so not every step has one: all that lead to the database or
# back have, and of the others every so many-th, by how long a connection takes.
STRIDES = {"sqlite": 40, "postgresql": 60, "mysql": 80}

# What talks to a database. PyMySQL is Python all the way to the socket.
_DRIVERS = {"sqlite3", "psycopg", "psycopg_binary", "psycopg_c", "pymysql", "_socket"}
# What sends a statement in psycopg, and does not wait for the answer.
_SENDERS = {"_execute_send", "_exec_command"}


def kill(imports, script):
    """Run a script in another process, and kill that while it saves, again and again; return where, by name.

    The script connects receivers, and defines `prepare(name)`, which returns what is saved.
    """
    database = {key: value for key, value in connection.settings_dict.items() if key != "TEST"}
    (places,) = run(
        f"from tests.helpers.killing import kill_at_each_stop\n{imports}{dedent(script)}"
        "report(kill_at_each_stop(prepare))",
        early="import tests.settings",  # has Django take PyMySQL for its driver
        INSTALLED_APPS=settings.INSTALLED_APPS,
        DATABASES={"default": {**database, "NAME": str(database["NAME"])}},
        DEFAULT_AUTO_FIELD=settings.DEFAULT_AUTO_FIELD,
    )
    return places


def kill_at_each_stop(prepare, stride=None, every=1):
    """Save what `prepare(name)` returns, once for each stop, in a process that is killed there.

    Of the steps that do not lead to the database, every `stride`-th is a stop; of the stops, every so many-th is taken.

    Returns where each process died, by the name that it was about to save; the last one lives on, and is not among
    them. Connections do not survive a fork, so there must be none when this is called.
    """
    prepare("warm").save()  # alone fills the caches that all later saves find filled
    connections.close_all()
    gc.disable()  # a collection runs destructors, which are steps too, at a different place each time
    places = {}
    for number in count(1, every):
        place = place_of_death(str(number), number, prepare, stride)
        if not place:
            return places
        places[str(number)] = place


def place_of_death(name, number, prepare, stride):
    """Save in a process that is killed at the stop with this number; return where, or nothing if it was not."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        instance = prepare(name)
        connection.ensure_connection()
        sys.setprofile(_killer(number, writer, stride or STRIDES[connection.vendor]))
        instance.save()
        os._exit(0)
    os.close(writer)
    with open(reader) as report:
        place = report.read()
    _, status = os.waitpid(child, 0)
    end = os.waitstatus_to_exitcode(status)
    if end != (-signal.SIGKILL if place else 0):
        raise RuntimeError(f"The process that saves {name!r} was to be killed at {place!r}, and ended with {end}.")
    return place


def _killer(number, report, stride):
    """Return a profile function, which is called at each step, and kills the process at the stop with this number."""
    stops, others = count(1), count(1)

    def step(frame, event, argument):
        is_stop = _is_at_the_database(frame, event, argument) or next(others) % stride == 0
        if is_stop and next(stops) == number:
            os.write(report, f"{number}: {_described(frame, event, argument)}".encode())
            os.kill(os.getpid(), signal.SIGKILL)

    return step


def _is_at_the_database(frame, event, argument):
    """Return whether a step is right before a call into the driver of the database, or right after it."""
    if event in ("call", "return"):
        is_outermost = _package(frame.f_back) not in _DRIVERS
        return _package(frame) in _DRIVERS and (is_outermost or frame.f_code.co_name in _SENDERS)
    owner = getattr(argument, "__self__", None)
    return any(one.__module__.partition(".")[0] in _DRIVERS for one in type(owner).__mro__)


def _package(frame):
    return (frame.f_globals.get("__name__") or "").partition(".")[0]


def _described(frame, event, argument):
    name = frame.f_code.co_qualname if event in ("call", "return") else argument.__qualname__
    return f"{event} of {name}, {frame.f_code.co_filename}:{frame.f_lineno}"
