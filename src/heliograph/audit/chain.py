"""The chain of seals: a seal is added under a lock, and has the digest of the seal before it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from django.db import connections, transaction
from django.db.models import Func, QuerySet, TextField
from django.utils.dateparse import parse_datetime

from heliograph.audit.digests import link_digest
from heliograph.audit.models import Chain, ChangeSet, Entry, Kind, Link, Seal
from heliograph.changes.row_locks import locking_block
from heliograph.databases import database_of
from heliograph.outbox.clock import DatabaseNow
from heliograph.outbox.manage.ranges import text_of

TABLES = tuple(model._meta.db_table for model in (Entry, ChangeSet, Kind, Seal))


class InUTC(Func):
    """A time as the database has it in UTC: the same on every server, whatever the settings are."""

    output_field = TextField()  # the driver gives a time or a text

    def as_sql(self, compiler: Any, connection: Any, *args: Any, **context: Any) -> Any:
        sql, params = compiler.compile(self.get_source_expressions()[0])
        return database_of(connection).in_utc(sql), params


def utc_text(value: Any) -> str:
    """Return the text of a time that `InUTC` has read."""
    found = value if isinstance(value, datetime) else parse_datetime(value)
    if found is None:
        return str(value)
    return found.replace(tzinfo=None).isoformat(" ", "microseconds")


def rows(model: Any, using: str) -> Any:
    """Return all rows of a table of the audit log, which can also be changed by this queryset."""
    return QuerySet(model, using=using)


@contextmanager
def locked_chain(using: str) -> Iterator[Chain]:
    """Open a transaction in which nobody else adds a seal, and in which protected rows may be changed."""
    connection = connections[using]
    _begin_chain(using)
    with locking_block(connection, transaction.atomic(using), Chain):
        chain = rows(Chain, using).select_for_update().get(pk=1)
        with database_of(connection).unprotected(connection, TABLES):
            yield chain


def _begin_chain(using: str) -> None:
    """Insert the row of the chain if it is missing, by a transaction of its own: MariaDB locks more than the row."""
    if not rows(Chain, using).exists():
        rows(Chain, using).bulk_create([Chain(id=1)], ignore_conflicts=True)


def last_seal(using: str, **of: Any) -> Seal | None:
    """Return the newest seal, or the newest of some; None if there is none."""
    found: Seal | None = seals(using).filter(**of).order_by("-id").first()
    return found


def seals(using: str) -> Any:
    """Return the seals with their time in UTC, without their leaves."""
    return rows(Seal, using).annotate(utc=InUTC("at")).defer("leaves")


def add_seal(
    using: str, link: Link, ids: Sequence[int], *, reason: str = "", root: str = "", leaves: Iterable[bytes] = ()
) -> Seal:
    """Add a seal to the chain, in a transaction of `locked_chain`; the ids ascend."""
    former = last_seal(using)
    seal = Seal(
        id=former.pk + 1 if former else 1,
        link=link,
        at=DatabaseNow(),
        first=ids[0],
        last=ids[-1],
        count=len(ids),
        ids=text_of(ids),
        reason=reason,
        root=root,
        leaves=b"".join(leaves),
        digest="",
    )
    rows(Seal, using).bulk_create([seal])  # the primary key is the next number, so that two can never have one
    stored: Seal = seals(using).get(pk=seal.pk)
    stored.digest = digest_of_seal(stored, former.digest if former else "")
    rows(Seal, using).filter(pk=seal.pk).update(digest=stored.digest)
    return stored


def digest_of_seal(seal: Any, former: str) -> str:
    """Return the digest that a seal must have after the one with this digest."""
    columns = [seal.pk, seal.link, utc_text(seal.utc), seal.first, seal.last, seal.count, seal.ids, seal.reason]
    return link_digest(former, [*columns, seal.root])
