"""The context of a management command, for the process that was started to run it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from heliograph.context.kept_context import Context, current_context
from heliograph.context.trace_ids import own_trace

# A server begins a context for each request, and tests have contexts of their own.
_LEFT_OUT = ("runserver", "test", "testserver")


def begin_command(arguments: Sequence[str]) -> None:
    """Give the thread that sets Django up the context of its management command, if the process was started for one.

    Threads that it starts for requests or deliveries do not have it.
    """
    name = command_in(arguments)
    if name:
        current_context.set(Context(command=name, traceparent=own_trace()))


def command_in(arguments: Sequence[str]) -> str:
    """Return the name of the management command that a process was started for; "" if it was started otherwise."""
    if len(arguments) < 2 or not _is_of_django(Path(arguments[0])):
        return ""
    name = arguments[1]
    return "" if name.startswith("-") or name in _LEFT_OUT else name


def _is_of_django(program: Path) -> bool:
    is_module = program.parts[-2:] == ("django", "__main__.py")  # of python -m django
    return is_module or program.name == "manage.py" or program.stem == "django-admin"
