"""What docs/signals.md lists: signals, and the arguments of each."""

import re
from pathlib import Path

import django

PAGE = Path(__file__).resolve().parents[2] / "docs" / "signals.md"

_SECTION = re.compile(r"^### `(?P<signal>\w+)`(?: \((?P<condition>[^)]+)\))?\n(?P<text>.*?)(?=^#|\Z)", re.M | re.S)
_ARGUMENT = re.compile(r"^- `(?P<name>\w+)`(?: \((?P<condition>[^)]+)\))?: ", re.M)
_VERSION = re.compile(r"Django (\d+)\.(\d+) and later")


def signals():
    """Return the names of the signals that have a section, in the order of the page."""
    return [section["signal"] for section in _SECTION.finditer(PAGE.read_text())]


def in_the_table():
    """Return the names of the signals in the table at the top."""
    return re.findall(r"^\| \[`(\w+)`\]\(#[\w-]+\) \|", PAGE.read_text(), re.M)


def arguments(signal, *conditions):
    """Return the names of the arguments that the page lists for a signal under these conditions."""
    return {name for name, condition in _arguments(signal) if condition is None or _holds(condition, conditions)}


def _arguments(signal):
    texts = {section["signal"]: section["text"] for section in _SECTION.finditer(PAGE.read_text())}
    return [(argument["name"], argument["condition"]) for argument in _ARGUMENT.finditer(texts[signal])]


def _holds(condition, conditions):
    version = _VERSION.fullmatch(condition)
    return tuple(map(int, version.groups())) <= django.VERSION if version else condition in conditions
