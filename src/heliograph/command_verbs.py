"""The verbs of a management command, such as `list` of `manage.py signals list`: a module each, with this protocol."""

from __future__ import annotations

from argparse import SUPPRESS
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Verb:
    """A verb of a command."""

    help: str
    add_arguments: Callable[[Any], object]
    run: Callable[[Any, dict[str, Any]], object]  # is called with the command and its options


def add_verbs(parser: Any, verbs: Mapping[str, Verb], *of_all: Callable[[Any], object]) -> None:
    """Add verbs to the parser of a command; the functions `of_all` add arguments to each verb."""
    parsers = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, verb in verbs.items():
        of_verb = parsers.add_parser(name, help=verb.help, description=f"{verb.help[0].upper()}{verb.help[1:]}.")
        for add in (*of_all, verb.add_arguments, add_options_of_django):
            add(of_verb)


@contextmanager
def escaping(stream: Any) -> Iterator[None]:
    """Let a stream write a character that its encoding does not have as an escape, as the error stream does.

    A docstring may have an arrow, and the output of a command that is piped on Windows is no UTF-8.
    """
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is None:
        yield
        return
    before = stream.errors
    reconfigure(errors="backslashreplace")
    try:
        yield
    finally:
        reconfigure(errors=before)


def add_options_of_django(parser: Any) -> None:
    """Take the options of all commands after the verb, too; a default would hide an option before the verb."""
    for flag in ("--settings", "--pythonpath"):
        parser.add_argument(flag, default=SUPPRESS, help=SUPPRESS)
    for flag in ("--traceback", "--no-color", "--force-color", "--skip-checks"):
        parser.add_argument(flag, action="store_true", default=SUPPRESS, help=SUPPRESS)
    parser.add_argument("-v", "--verbosity", type=int, choices=range(4), default=SUPPRESS, help=SUPPRESS)
