"""The analysis of a write: it is made for real, as in production, and everything is rolled back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from django.db import connections

from heliograph.changes.tracking import ALL, watch
from heliograph.databases import database_of
from heliograph.flow.analyzing.analysis_facts import AnalysisFacts, HeldFunction
from heliograph.flow.analyzing.analysis_json import facts_of
from heliograph.flow.analyzing.analysis_text import text_of
from heliograph.flow.analyzing.asked_instances import Prepared, prepared
from heliograph.flow.analyzing.written_rows import WrittenRows
from heliograph.flow.asked_writes import AskedWrite
from heliograph.flow.effects.watching_effects import watched_effects
from heliograph.flow.observed_database import Queried
from heliograph.flow.statements_in_short import is_control
from heliograph.flow.trace import trace
from heliograph.flow.tree import Tree, tree_of
from heliograph.transactions.rehearsing import Rehearsal, rehearsal


@dataclass(frozen=True)
class Analysis(AnalysisFacts):
    """The effects of a write that was made and rolled back; printed, it is a report for people. Frozen.

    - `pk`: the primary key of the row that was written.
    - `seconds`: how long the write took.
    - `tree`: the `Tree` of saves, sends, calls and queries.
    - `deliveries`: the deliveries that would wait in the outbox, with `receiver`, `queue`, `key` and the `size` in
      bytes.
    - `after_commit`: the functions that would be called after the commit.
    - `refused`: by the alias of a database, the error with which it would refuse the commit.
    - `raised`: the exception of the write, or None.
    - `effects`: a tuple of `Effect`.
    """

    def __str__(self) -> str:
        return text_of(self)

    def to_json(self, **options: Any) -> str:
        """Return the analysis as JSON; options are those of `json.dumps`."""
        return json.dumps(facts_of(self), **options)


# How long a statement may take, in seconds, on databases that can end one: rows are locked all the while.
LONGEST_STATEMENT = 30.0


def analyze(asked: AskedWrite, *, sql: bool = False, hook: bool = False) -> Analysis:
    """Make a write as in production, roll it back, and return what it has caused; with `sql`, also all statements.

    The write is made on a fresh copy of its row: of the row with the primary key that is asked for, or of the newest.
    An error of the write is a part of the result. The rows that it writes are locked all the while; SQLite locks the
    whole database. Files, sockets, programs and threads are seen with `hook=True`: by an audit hook of Python, which
    stays in the process.

    Raises LookupError for a missing row or an unknown field, ValueError for a required value that is missing, and
    TransactionManagementError inside a transaction.
    """
    raised, rows, flow = None, WrittenRows(), trace(sql=sql)
    with _prepared(asked) as (held, (instance, write)), watched_effects(hook=hook) as effects, rows, flow:
        before, began = instance.pk, perf_counter()
        try:
            write()
        except (Exception, SystemExit) as error:  # a receiver that ends the process is a result, too
            raised = error
        seconds = perf_counter() - began
        pk = instance.pk if before is None else before
    tree, later = _tree(flow.events), _after_commit(held)
    facts = (rows.saved, tuple(rows.deliveries), later, held.refused, raised, tuple(effects))
    return Analysis(asked, pk, seconds, tree, *facts, sql)


def _tree(events: Iterable[Any]) -> Tree:
    """Return the tree without the savepoints: in production, those of the rehearsal are transactions."""
    return tree_of(event for event in events if not (isinstance(event, Queried) and is_control(event.sql)))


@contextmanager
def _prepared(asked: AskedWrite) -> Iterator[tuple[Rehearsal, Prepared]]:
    """Rehearse a block, and yield the write to make in it; all models are watched, so that their changes are known."""
    watching, connection = watch(None, ALL), connections[asked.using]
    with rehearsal() as held, database_of(connection).limiting_statements(connection, LONGEST_STATEMENT):
        yield held, prepared(asked)
    del watching


def _after_commit(held: Rehearsal) -> tuple[HeldFunction, ...]:
    receivers = [
        HeldFunction(one.call.receiver, one.using, is_receiver=True)
        for one in held.after_commit
        if _is_of_receiver(one.call)
    ]
    return (*receivers, *(HeldFunction(function, using, is_receiver=False) for using, function in held.functions))


def _is_of_receiver(call: Any) -> bool:
    """Return whether a call is one of a receiver; the others notify a backend of the outbox."""
    return "signal" in call.payload
