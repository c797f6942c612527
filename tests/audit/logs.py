"""Entries that tests seal, verify and tamper with."""

import re
from io import StringIO

from django.core.management import CommandError, call_command
from django.db import connection, transaction

from heliograph.audit.digests import salts_and_digests
from heliograph.audit.models import Chain, ChangeSet, Entry, Kind, Seal

TABLES = {
    model.__name__: connection.ops.quote_name(model._meta.db_table) for model in (Chain, ChangeSet, Entry, Kind, Seal)
}


def command(*arguments, **options):
    """Run `manage.py audit`; return its output."""
    out, err = StringIO(), StringIO()
    call_command("audit", *arguments, stdout=out, stderr=err, **options)
    return out.getvalue() + err.getvalue()


def findings(*arguments):
    """Run `manage.py audit verify`; return what it has found, none if it exits with 0."""
    out, err, code = StringIO(), StringIO(), 0
    try:
        call_command("audit", "verify", *arguments, stdout=out, stderr=err)
    except CommandError as error:
        code = error.returncode
    found = err.getvalue().splitlines()
    assert code == (1 if found else 0)
    return found


def counts():
    """What a verification that finds nothing has counted."""
    text = command("verify").replace(",", "")
    named = re.findall(r"(\d+) (entr)|(seals|not sealed yet|forgotten|pruned): (\d+)", text)
    return {name or other: int(count or number) for count, name, other, number in named}


def tamper(sql, *params):
    """Execute SQL in which {Entry}, {Seal} and so on are the tables."""
    with connection.cursor() as cursor:
        cursor.execute(sql.format(**TABLES), params)
        return cursor.rowcount


def write_in_sets(*saves, actor="", label="", reason="", context=""):
    """Save in one transaction each, and give the change sets an actor, as the context of a request does."""
    for save in saves:
        with transaction.atomic():
            save()
        number = ChangeSet.objects.order_by("-pk").values_list("pk", flat=True)[0]
        salts, digests = salts_and_digests(label, reason, context)
        ChangeSet._base_manager.filter(pk=number).update(
            actor=actor, actor_label=label, reason=reason, context=context, salts=salts, digests=digests
        )
