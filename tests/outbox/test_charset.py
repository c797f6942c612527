"""Errors whose letters the character set of a database lacks, and texts that would be several lines of a log."""

import logging

import pytest
from django.db import connection

from heliograph import Discard, Durable, Signal
from heliograph.outbox.charset import one_line
from heliograph.outbox.durable.retrying import Retry
from heliograph.outbox.models import Delivery, State
from heliograph.outbox.work.runner import drain
from tests.helpers.bare import run
from tests.helpers.fresh import KIND

sent = Signal(name="shop.sent")

SCRIPT = r"""
from django.core.management import call_command
from heliograph import Discard, Durable, Retry, Signal
from heliograph.outbox.models import Delivery
from heliograph.outbox.work.runner import drain

sent = Signal(name="shop.sent")
TEXT = "Größe 😀 Жук \0 \ud800"

def fail(sender, **kwargs):
    raise ValueError(TEXT)

def fail_twice(sender, **kwargs):
    raise ValueError(TEXT)

def discard(sender, **kwargs):
    return Discard(TEXT)

def discard_with_its_writes(sender, **kwargs):
    raise Discard(TEXT)

for function in (fail, discard, discard_with_its_writes):
    sent.connect(function, delivery=Durable(retry=Retry(attempts=1)))
sent.connect(fail_twice, delivery=Durable())
call_command("migrate", "heliograph_outbox", verbosity=0)
sent.send(sender=None, using="default")
drain()
for row in Delivery.objects.order_by("receiver"):
    delivered = [str(failure["error"]) for failure in row.failures]
    report([row.receiver.rpartition(".")[2], row.state, row.error, "fail" in row.traceback, delivered])
"""

# How each database is made, and what it has of the text.
ALL = r"Größe 😀 Жук \0 \ud800"
WESTERN = r"Größe \U0001f600 \u0416\u0443\u043a \0 \ud800"
BASIC = r"Größe \U0001f600 Жук \0 \ud800"
ASCII = r"Gr\xf6\xdfe \U0001f600 \u0416\u0443\u043a \0 \ud800"
C = "LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
KINDS = {
    "sqlite": [("", ALL)],
    "postgresql": [
        (f"ENCODING 'UTF8' {C}", ALL),
        (f"ENCODING 'SQL_ASCII' {C}", ALL),
        (f"ENCODING 'LATIN1' {C}", WESTERN),
        (f"ENCODING 'KOI8R' {C}", ASCII),
    ],
    "mariadb": [
        ("CHARACTER SET utf8mb4", ALL),
        ("CHARACTER SET utf8mb3", BASIC),
        ("CHARACTER SET latin1", WESTERN),
        ("CHARACTER SET ascii", ASCII),
    ],
}


@pytest.mark.parametrize(("creation", "text"), KINDS[KIND])
def test_an_outcome_is_recorded_whatever_characters_its_text_has(fresh_database, creation, text):
    database = fresh_database("characters", creation)
    settings = {"INSTALLED_APPS": ["heliograph", "heliograph.outbox"], "DATABASES": {"default": database}}
    error = f"ValueError: {text}"
    assert run(SCRIPT, early="import tests.settings", **settings) == [
        ["discard", "DISCARDED", text, False, []],
        ["discard_with_its_writes", "DISCARDED", text, False, []],
        ["fail", "DEAD", error, True, [f"ValueError: {ALL}"]],
        ["fail_twice", "READY", error, True, [f"ValueError: {ALL}"]],
    ]


LINES = "one\ntwo\r\nthree\x0bfour\x85five\u2028six"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (LINES, "one two three four five six"),
        ("a\x1b[2Jb", r"a\x1b[2Jb"),
        ("\u202eright to left", r"\u202eright to left"),
        ("tab\tand  spaces ", "tab and spaces"),
        ("\0", r"\0"),
        ("\ud800", r"\ud800"),
        ("Größe 😀", "Größe 😀"),
        ("a" * 3000, "a" * 2000),
        ("", ""),
    ],
)
def test_a_text_is_one_line_of_printable_characters(text, line):
    assert one_line(text) == line


def fail(sender, **kwargs):
    raise ValueError(LINES)


def discard(sender, **kwargs):
    return Discard(LINES)


@pytest.mark.django_db
@pytest.mark.parametrize("function", [fail, discard])
@pytest.mark.parametrize("attempts", [1, 2])
def test_what_is_logged_of_an_outcome_is_one_line(connect, caplog, function, attempts):
    caplog.set_level(logging.INFO, "heliograph.outbox")
    connect(sent, function, delivery=Durable(retry=Retry(attempts=attempts)))
    sent.send(sender=None, using="default")
    drain()
    (record,) = caplog.records
    assert record.getMessage().endswith("one two three four five six")
    assert record.getMessage().isprintable()


@pytest.mark.django_db
def test_an_error_of_the_database_that_is_not_about_characters_is_no_reason_to_escape_any(connect):
    def fail_differently(sender, **kwargs):
        with connection.cursor() as cursor:
            cursor.execute("SELECT nothing FROM nowhere WHERE text = 'Größe'")

    connect(sent, fail_differently, delivery=Durable(retry=Retry(attempts=1)))
    sent.send(sender=None, using="default")
    drain()
    row = Delivery.objects.get()
    assert (row.state, "Größe" in row.traceback) == (State.DEAD, True)
