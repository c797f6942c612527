"""Places in a process where it dies, waits or is asked to end, if it was started to do so there."""

import os
import signal
import sys
import threading
from contextlib import suppress
from pathlib import Path

from django.db import OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from heliograph.outbox.events import DeliveryEvent

DIE_AT, WAIT_AT, FOLDER = "HELIOGRAPH_CRASH_DIE_AT", "HELIOGRAPH_CRASH_WAIT_AT", "HELIOGRAPH_CRASH_FOLDER"
CUT_AT, TELL_AT = "HELIOGRAPH_CRASH_CUT_AT", "HELIOGRAPH_CRASH_TELL_AT"
VARIABLES = {DIE_AT, WAIT_AT, CUT_AT, TELL_AT, FOLDER}

_go_on = threading.Event()


def at(place, name=""):
    """Do here what this process was started to do at this place, or at this place with this name."""
    here = {place, f"{place} {name}"}
    if os.environ.get(DIE_AT) in here:
        die()
    if os.environ.get(WAIT_AT) in here:
        _wait()
    if os.environ.get(TELL_AT) in here:
        del os.environ[TELL_AT]
        os.kill(os.getpid(), signal.SIGTERM)


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def _wait():
    """Say that the place is reached, and wait until somebody opens the pipe; that is once in the life of a process."""
    if _go_on.is_set():
        return
    pipe = pipe_of(os.getpid())
    with suppress(FileExistsError):
        os.mkfifo(pipe)
    pipe.with_suffix(".reached").touch()
    pipe.open().close()
    _go_on.set()


def pipe_of(process):
    return Path(os.environ[FOLDER], f"{process}.pipe")


# --- places that no receiver sees: events of deliveries, statements on their table, and the commits of these ----------


def reached(event):
    """Be an observer, for whom each event is a place with its name."""
    if isinstance(event, DeliveryEvent):
        at(event.name)


def install():
    """Have the statements on the table of deliveries be places, the commits of their transactions, and waiting."""
    if not any(map(os.environ.get, (DIE_AT, CUT_AT, TELL_AT))):
        return
    connection_created.connect(_watch)
    for set_profile in (threading.setprofile, sys.setprofile):
        set_profile(_step)


def _watch(sender, connection, **kwargs):
    connection.execute_wrappers.append(_Statements(connection))


class _Statements:
    """The statements of one connection."""

    def __init__(self, connection):
        self.connection = connection
        self.done = []  # in the transaction that is open

    def __call__(self, execute, sql, params, many, context):
        kind = _kind(sql)
        if not kind:
            return execute(sql, params, many, context)
        self.at(f"before {kind}")
        result = execute(sql, params, many, context)
        self.done.append(kind)
        self.at(f"at {kind}")
        if not self.connection.in_atomic_block:
            self.committed()
        return result

    def committing(self):
        for kind in self.done:
            self.at(f"before commit of {kind}")

    def committed(self):
        done, self.done = self.done, []
        for kind in done:
            self.at(f"after {kind}")

    def at(self, place):
        """Be at a place where, besides, the connection may be cut off, which is once in the life of a process."""
        at(place)
        if os.environ.get(CUT_AT) == place:
            del os.environ[CUT_AT]
            pipe_of(os.getpid()).with_suffix(".cut").touch()
            self.connection.connection.close()
            raise OperationalError(f"The connection was cut off {place}")


def _kind(sql):
    """Return what a statement does to deliveries, if a test may want to stop there."""
    if "heliograph_outbox_delivery" not in sql:
        return ""
    plain = sql.replace('"', "").replace("`", "")
    return next((kind for sign, kind in _SIGNS.items() if sign in plain), "")


_SIGNS = {
    "SET state = 'RUNNING'": "claim",
    "SET state = 'SUCCESSFUL'": "record",
    "INSERT INTO": "insert",
    "DELETE FROM": "pruning",
    "SET state = %s, attempts = (heliograph_outbox_delivery.attempts - ": "handing back",
}


def _step(frame, event, argument):
    """Be called by the interpreter for each call and return, of which some are places."""
    if event == "call" and frame.f_code is _UNLOCK and _is_waiting(frame.f_back):
        at("waiting")
    if frame.f_code is _COMMIT and event in ("call", "return"):
        connection = frame.f_locals["self"]
        for wrapper in connection.execute_wrappers:
            if isinstance(wrapper, _Statements):
                (wrapper.committing if event == "call" else wrapper.committed)()


def _is_waiting(frame):
    """Return whether the main thread waits for an event, and not for a thread to start."""
    is_main = threading.current_thread() is threading.main_thread()
    return is_main and frame.f_code is _WAIT and frame.f_back.f_code is not _START


_COMMIT = BaseDatabaseWrapper._commit.__code__
_WAIT, _UNLOCK = threading.Event.wait.__code__, threading.Condition.__exit__.__code__
_START = threading.Thread.start.__code__
