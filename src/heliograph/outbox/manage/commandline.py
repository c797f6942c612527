"""The verbs of the command `outbox`, with their options."""

from __future__ import annotations

from argparse import ArgumentTypeError
from collections.abc import Callable, Sequence
from typing import Any

from django.core.management.base import CommandParser
from django.db import DEFAULT_DB_ALIAS, connections

from heliograph.command_verbs import add_options_of_django
from heliograph.outbox.manage.operations import BY_DEFAULT, DISCARDABLE, PASSING, PRUNABLE, REDELIVERABLE


def add_verbs(parser: CommandParser) -> None:
    """Add the verbs to the parser of the command."""
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for verb, add_options, text in _VERBS:
        of_verb = verbs.add_parser(verb, help=text, description=f"{text[0].upper()}{text[1:]}.")
        _add_database(of_verb)
        add_options(of_verb)
        add_options_of_django(of_verb)


# --- verbs ------------------------------------------------------------------------------------------------------


def _add_run(parser: CommandParser) -> None:
    _add_names(parser, "--queue", "only deliveries of these queues (default: of all)")
    text = "how many deliveries to make at the same time (default: 1)"
    parser.add_argument("--concurrency", type=_at_least_one, default=1, metavar="N", help=text)
    text = "how long to wait for what runs, when the worker is to stop (default: 30)"
    parser.add_argument("--grace", type=_seconds, default=30.0, metavar="SECONDS", help=text)
    parser.add_argument("--drain", action="store_true", help="stop when nothing is due")


def _add_status(parser: CommandParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")
    text = "exit with 1 if a delivery has been due for longer than this (default: 3600)"
    parser.add_argument("--max-age", type=_seconds, default=3600.0, metavar="SECONDS", help=text)
    text = "exit with 1 if a delivery has been running for longer than this (default: 86400, a day)"
    parser.add_argument("--max-running", type=_seconds, default=86400.0, metavar="SECONDS", help=text)


def _add_redeliver(parser: CommandParser) -> None:
    _add_filters(parser, REDELIVERABLE, BY_DEFAULT)
    _add_operation(parser, "")


def _add_discard(parser: CommandParser) -> None:
    _add_filters(parser, DISCARDABLE, BY_DEFAULT)
    parser.add_argument("--all", action="store_true", help="all dead letters")
    _add_operation(parser, "discarded with manage.py outbox discard")


def _add_prune(parser: CommandParser) -> None:
    _add_filters(parser, PRUNABLE, PASSING)


_VERBS: tuple[tuple[str, Callable[[CommandParser], None], str], ...] = (
    ("run", _add_run, "make deliveries until SIGTERM or SIGINT"),
    ("status", _add_status, "show how deliveries are doing, and exit with 1 if somebody should look after them"),
    ("redeliver", _add_redeliver, "let dead letters, or others that have finished, be made again"),
    ("discard", _add_discard, "let dead letters, or deliveries that wait, not be made"),
    ("prune", _add_prune, "delete what finished longer ago than the settings keep it, or what the filters say"),
)

# --- options ----------------------------------------------------------------------------------------------------


def _add_database(parser: CommandParser) -> None:
    text = "the database that has the deliveries (default: %(default)s)"
    parser.add_argument("--database", default=DEFAULT_DB_ALIAS, type=database_alias, metavar="ALIAS", help=text)


def _add_filters(parser: CommandParser, states: Sequence[str], by_default: Sequence[str]) -> None:
    _add_names(parser, "--id", "only these deliveries", type=_at_least_one)
    _add_names(parser, "--queue", "only those of these queues")
    _add_names(parser, "--receiver", "only those of these receivers, by module and name")
    text = f"only those in these states: {', '.join(states)} (default: {', '.join(by_default)})"
    _add_names(parser, "--state", text, type=str.upper, choices=states)
    text = "only what finished longer ago than this, such as 90d, or what was sent longer ago if it has not finished"
    parser.add_argument("--older-than", type=duration, metavar="DURATION", help=text)
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
    parser.set_defaults(default_states=by_default)


def _add_operation(parser: CommandParser, reason: str) -> None:
    default = " (default: %(default)s)" if reason else ""
    parser.add_argument("--reason", default=reason, help=f"the reason, which is kept with each delivery{default}")
    text = "do not ask whether it is meant"
    parser.add_argument("--noinput", "--no-input", action="store_false", dest="interactive", help=text)


def _add_names(parser: CommandParser, flag: str, text: str, **options: Any) -> None:
    metavar = flag.lstrip("-").upper()
    parser.add_argument(flag, nargs="+", action="extend", default=[], metavar=metavar, help=text, **options)


# --- values -----------------------------------------------------------------------------------------------------


def database_alias(text: str) -> str:
    """Return the alias of a database that an argument names; ArgumentTypeError for another text."""
    if text not in connections:
        raise ArgumentTypeError(f"DATABASES has no {text!r}: it has {', '.join(map(repr, connections))}.")
    return text


def duration(text: str) -> float:
    """Return the seconds of a text such as 90d, 12h, 30m, 10s, 10 or 0; ArgumentTypeError for another text."""
    number, unit = (text[:-1], text[-1]) if text[-1:] in _UNITS else (text, "s")
    try:
        seconds = float(number) * _UNITS[unit]
    except ValueError:
        seconds = -1
    if not 0 <= seconds <= _MOST:  # nor "nan"
        raise ArgumentTypeError(
            f"it takes a duration such as 90d, 12h, 30m, 10s or 0, at most a hundred years, not {text!r}."
        )
    return seconds


def _at_least_one(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 0 < int(text[:20]) < 2**63):
        raise ArgumentTypeError(f"it takes whole numbers from 1, not {text!r}.")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1
    if not 0 <= seconds <= _MOST:  # nor "nan"
        raise ArgumentTypeError(f"it takes seconds, from 0 to a hundred years of them, not {text!r}.")
    return seconds


_UNITS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_MOST = 100 * 365 * 24 * 3600
