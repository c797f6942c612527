"""Rolling back: a function runs in a transaction that is rolled back, and the effects that stay are found."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections

from heliograph import rehearsal
from heliograph.dispatch.describe import describe
from heliograph.flow.effects.seen_effects import Effect, EffectKind
from heliograph.flow.effects.watching_effects import watched_effects
from heliograph.testing.called_paths import call_path
from heliograph.testing.verified_arguments import verify_aliases, verify_allowed, verify_path
from heliograph.transactions.flush import flush
from heliograph.transactions.rehearsing import rehearsed_transaction

# pytest and unittest leave this module out of the traceback of a failed assertion.
__tracebackhide__ = __unittest = True

Allowed = Collection[EffectKind | Callable[..., Any]]


def rolled_back(
    function: Callable[[], Any],
    /,
    *,
    allowed: Allowed = (),
    raising: bool = True,
    using: str | Collection[str] = DEFAULT_DB_ALIAS,
) -> list[Effect]:
    """Prove that a rollback undoes what a function and its receivers do: run it, roll it back, and look at what stays.

        rolled_back(lambda: Order.objects.create())

    The transaction is rolled back right before its commit. AssertionError lists the effects that the rollback has not
    undone, such as a mail or a file, each with its receiver and the remedy; `raising=False` only returns them, as a
    list of `Effect`.

    - `allowed`: a list of receivers, and of kinds of effects such as "cache", that are meant.
    - `using`: the alias of the database, or several; a write to another database stays.

    Mails and caches are held: nothing is sent, and nothing is written. Numbers that sequences have given out are no
    effect. The end of `atomic(durable=True)` is no commit here.

    Raises TransactionManagementError inside a transaction that the test has opened, and an exception of the function.
    """
    verify_path(function, "rolled_back()")
    verify_allowed(allowed)
    verify_aliases(using)
    made = _effects_before_rollback(function, [using] if isinstance(using, str) else using)
    stayed = [one for one in _without_scratch_files(made) if not _is_allowed(one, allowed)]
    if stayed and raising:
        raise AssertionError(_text(stayed))
    return stayed


class _UndoneError(Exception):
    """Ends the transaction of a path."""


def _effects_before_rollback(function: Callable[[], Any], aliases: Collection[str]) -> list[Effect]:
    """Run a function and its receivers before the commit, roll back, and return the effects until the rollback.

    Receivers with `OnRollback` are called. They undo effects of others, so their own effects do not count.
    """
    made = list[Effect]()
    try:
        with rehearsal(*aliases), watched_effects() as effects, ExitStack() as blocks:
            for alias in aliases:
                blocks.enter_context(rehearsed_transaction(alias))
            call_path(function)
            for alias in aliases:
                flush(connections[alias])
            made += effects
            raise _UndoneError
    except _UndoneError:
        return made


def _without_scratch_files(effects: Sequence[Effect]) -> list[Effect]:
    """Return the effects without those on files that were not there before, and are not there now."""
    files = [one for one in effects if one.kind == "file"]
    there_before = dict[str, bool]()
    for one in files:
        there_before = one.about | there_before
    scratch = {path for path, was_there in there_before.items() if not was_there and not os.path.lexists(path)}
    return [one for one in effects if one.kind != "file" or not scratch.issuperset(one.about)]


def _is_allowed(effect: Effect, allowed: Allowed) -> bool:
    return effect.kind == "sequence" or effect.kind in allowed or effect.receiver in allowed


def _text(stayed: Sequence[Effect]) -> str:
    first = stayed[0]
    named = "..." if first.receiver is None else getattr(first.receiver, "__name__", "...")
    return "\n".join(
        [
            f"A rollback does not undo {'this' if len(stayed) == 1 else f'these {len(stayed)} effects'}:",
            *(line for one in stayed for line in _lines(one)),
            f"Effects that are meant are allowed by receiver or by kind: allowed=[{named}], allowed=[{first.kind!r}].",
        ]
    )


def _lines(effect: Effect) -> tuple[str, str]:
    if effect.receiver is None:
        return f"  {effect.text}, outside of receivers", "    Call it with transaction.on_commit(...)."
    return (
        f"  {effect.text}, by {describe(effect.receiver)}",
        "    Connect it with delivery=OnCommit(), or with delivery=Durable() if it must not be lost.",
    )
