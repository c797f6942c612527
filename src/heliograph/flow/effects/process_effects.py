"""Effects of the process: files, sockets, programs and threads, which Python's audit events show."""

from __future__ import annotations

import logging
import os
import re
import sys
import threading
from collections.abc import Callable, Iterator
from functools import cache, partial, wraps
from types import FrameType
from typing import Any

import asgiref

from heliograph.flow.effects.seen_effects import EffectKind, is_recording, record, record_in_thread

logger = logging.getLogger("heliograph.observers")

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_REQUEST = re.compile(rb"([A-Z]+) (\S+) HTTP/1")
_ASGIREF = os.path.dirname(asgiref.__file__)
_STANDARD = os.path.dirname(threading.__file__)


@cache  # an audit hook can never be removed, so there is one
def install() -> None:
    """Let Python call our hook with each audit event of the process, from now on."""
    sys.addaudithook(partial(_hook, _EVENTS, is_recording))
    if sys.version_info < (3, 12):
        _audit_threads()


def _audit_threads() -> None:
    """Let Python 3.11 raise the audit event of a thread that starts, as newer versions do."""
    start = threading.Thread.start

    @wraps(start)
    def audited_start(self: threading.Thread) -> None:
        sys.audit("_thread.start_new_thread", self._bootstrap, (), {})  # type: ignore[attr-defined]  # as the later event
        start(self)

    threading.Thread.start = audited_start  # type: ignore[method-assign]


def _hook(events: Any, is_wanted: Callable[[], bool], event: str, args: tuple[Any, ...]) -> None:
    # The first two are parameters, because Python empties this module when it exits, and still calls the hook then.
    of_event = events.get(event)
    if of_event is None or not is_wanted():
        return
    try:
        kind, text = of_event
        if shown := text(*args):
            about = _ABOUT.get(event)
            record(kind, shown, about=None if about is None else about(*args))
    except Exception:  # which would end the work of the receiver
        logger.exception("An effect of the audit event %s could not be recorded", event)


def _frames() -> Iterator[FrameType]:
    """Yield the frames that have led to the event, the innermost first."""
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if frame.f_code.co_filename != __file__:
            yield frame
        frame = frame.f_back


def _is_of_django_connection() -> bool:
    """Return whether Django opens a connection to a database, whose statements are watched."""
    return any(frame.f_code.co_name == "get_new_connection" for frame in _frames())


def _is_of_asgiref() -> bool:
    """Return whether asgiref starts a thread, in which a receiver is called."""
    files = (frame.f_code.co_filename for frame in _frames())
    starter = next((file for file in files if not _is_standard(file)), "")
    return starter.startswith(_ASGIREF)


def _is_standard(file: str) -> bool:
    return file.startswith((_STANDARD, "<")) and "-packages" not in file


def _opened(path: Any, mode: Any, flags: Any) -> str:
    is_written = not {*"wax+"}.isdisjoint(mode) if mode else bool((flags or 0) & _WRITING)
    # `tempfile` opens a directory to write a file that is in none, or is opened by an event of its own.
    is_file = _is_kept(path) and not os.path.isdir(path)
    return f"file {_shown(path)} is written" if is_written and is_file else ""


def _is_kept(path: Any) -> bool:
    """Return whether a path counts as a file: no descriptor, no module that Python has compiled, and no /dev/null."""
    return not isinstance(path, int) and "__pycache__" not in _shown(path) and _shown(path) != os.devnull


def _removed(path: Any, *_: Any) -> str:
    return f"file {_shown(path)} is removed" if _is_kept(path) else ""


def _renamed(source: Any, target: Any, *_: Any) -> str:
    return f"file {_shown(source)} is renamed to {_shown(target)}" if _is_kept(target) else ""


def _changed(path: Any, *_: Any) -> str:
    return f"file {_shown(path)} is changed"


def _made(path: Any, *_: Any) -> str:
    return f"directory {_shown(path)} is made" if _is_kept(path) else ""


def _shown(path: Any) -> str:
    return os.fsdecode(path) if isinstance(path, str | bytes | os.PathLike) else str(path)


def _connected(_: Any, address: Any, *__: Any) -> str:
    if _is_of_django_connection():
        return ""
    is_pair = isinstance(address, tuple) and len(address) >= 2
    return f"connection to {address[0]}:{address[1]}" if is_pair else f"connection to {_shown(address)}"


def _requested(connection: Any, data: Any) -> str:
    """Return the first line of a request with its server; "" for the body of a request, which is sent on its own."""
    begun = _REQUEST.match(data) if isinstance(data, bytes) else None
    return f"{begun[1].decode()} {begun[2].decode()} to {connection.host}:{connection.port}" if begun else ""


def _started(program: Any, *_: Any) -> str:
    return f"program {_shown(program)} is started"


def _forked(*_: Any) -> str:
    return "a process is forked"


def _thread_started(function: Any, *_: Any) -> str:
    thread = getattr(function, "__self__", None)
    if _is_of_asgiref():
        return ""
    if not isinstance(thread, threading.Thread):
        return "a thread is started"
    record_in_thread(thread)
    return f"thread {thread.name} is started"


_EVENTS: dict[str, tuple[EffectKind, Callable[..., str]]] = {
    "open": ("file", _opened),
    **dict.fromkeys(("os.remove", "os.rmdir"), ("file", _removed)),
    **dict.fromkeys(("os.rename", "os.link", "os.symlink"), ("file", _renamed)),
    **dict.fromkeys(("os.truncate", "os.chmod", "os.chown", "os.utime"), ("file", _changed)),
    "os.mkdir": ("file", _made),
    "http.client.send": ("network", _requested),
    **dict.fromkeys(("socket.connect", "socket.sendto", "socket.sendmsg"), ("network", _connected)),
    **dict.fromkeys(("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn"), ("process", _started)),
    **dict.fromkeys(("os.fork", "os.forkpty"), ("process", _forked)),
    **dict.fromkeys(("_thread.start_new_thread", "_thread.start_joinable_thread"), ("thread", _thread_started)),
}


def _path(path: Any, *_: Any) -> dict[str, bool]:
    """Return the path of a file with whether the file is there now, before the event."""
    full = os.path.abspath(_shown(path))
    return {full: os.path.lexists(full)}


def _two_paths(source: Any, target: Any, *_: Any) -> dict[str, bool]:
    return _path(source) | _path(target)


def _data(_: Any, data: Any) -> Any:
    return data


# What an effect of an event is about, made of the arguments of the event.
_ABOUT: dict[str, Callable[..., Any]] = {
    **{event: _path for event, (kind, _) in _EVENTS.items() if kind == "file"},
    **dict.fromkeys(("os.rename", "os.link", "os.symlink"), _two_paths),
    "http.client.send": _data,
}
