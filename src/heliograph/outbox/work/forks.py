"""A process that a receiver forks ends where the receiver ends, and never works for the outbox."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn


@contextmanager
def forks_end() -> Iterator[None]:
    """End each process that was forked in the block, where it leaves the block.

    `os.fork()` and `sys.exit()` in a receiver raise SystemExit in the child, through the code of the worker. The child
    has a copy of the worker's connection: it would record a failure there, and go on as a second worker.
    """
    parent = os.getpid()
    try:
        yield
    except BaseException as error:
        if os.getpid() != parent:
            _end(error)
        raise
    if os.getpid() != parent:
        _end(None)


def _end(error: BaseException | None) -> NoReturn:
    """End this process as Python does, but leave its connections open: the worker goes on using them."""
    code = _exit_code(error)
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):  # of a stream that is closed
            stream.flush()
    os._exit(code)


def _exit_code(error: BaseException | None) -> int:
    match error:
        case None | SystemExit(code=None):
            return 0
        case SystemExit(code=int(code)):
            return code & 0xFF
        case SystemExit(code=text):
            sys.stderr.write(f"{text}\n")
        case _:
            traceback.print_exception(error)
    return 1
