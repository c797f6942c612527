"""The columns of a delivery: one list of them, from which the statements are made."""

from dataclasses import fields

import pytest
from django.core.management import call_command

from heliograph import Durable
from heliograph.outbox.delivery_rows import CLAIMED, INITIAL, OPTIONS, SENT
from heliograph.outbox.models import Delivery, Operation

pytestmark = [pytest.mark.database_independent, pytest.mark.python_independent]

COLUMNS = {field.column: field for field in Delivery._meta.concrete_fields}


def test_each_column_is_sent_or_has_a_value_to_begin_with_unless_it_may_be_null():
    written = {*SENT, *INITIAL}

    missing = {name for name, field in COLUMNS.items() if name not in written and not field.null}

    assert missing == {"id"}  # the database makes it


def test_the_first_columns_are_options_of_durable_receivers():
    assert SENT[: len(OPTIONS)] == OPTIONS
    assert {*OPTIONS} <= {one.name for one in fields(Durable)}


def test_no_column_is_sent_and_has_a_value_to_begin_with_too():
    assert not {*SENT} & {*INITIAL}


def test_a_claim_reads_columns_of_the_table():
    assert {*CLAIMED} <= {*COLUMNS}


@pytest.mark.django_db
def test_the_migrations_make_the_models():
    assert {Delivery._meta.app_label, Operation._meta.app_label} == {"heliograph_outbox"}
    call_command("makemigrations", "heliograph_outbox", check=True, dry_run=True, verbosity=0)
