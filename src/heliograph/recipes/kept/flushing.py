"""The flush: all parents of a transaction are locked and updated at its end, in one order for all transactions."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from heliograph import Batch, BeforeCommit, Signal
from heliograph.recipes.cached_parents import forget
from heliograph.recipes.chunking import in_chunks
from heliograph.recipes.declarations import Declaration
from heliograph.recipes.kept.all_fields import fields_of, kept_fields
from heliograph.recipes.kept.extremes import Loss
from heliograph.recipes.kept.kept_fields import RECOUNT, KeptField
from heliograph.recipes.kept.work import Deltas, Work
from heliograph.recipes.parent_locks import lock, rank_of

# Sent for each batch of children; its receiver is called once for all of them, when no batch of children is left. A
# recount sees the children of the whole transaction, so no work on them may come after it.
kept_fields_changed = Signal(name="heliograph.recipes.kept_fields_changed")

CHUNK = 500  # keys of one UPDATE
FEW = 3  # up to so many different sums are an UPDATE each; more are one UPDATE with a CASE


def flush_later(using: str, work: Work, cached: Sequence[Any] = ()) -> None:
    """Perform work at the end of the transaction; `cached` are instances of parents whose values get old by it."""
    kept_fields_changed.send(sender=KeptField, using=using, work=work, cached=cached)


def flush(sender: Any, batch: Batch, **kwargs: Any) -> None:
    """Perform the work of a transaction.

    A kept field may be aggregated by another one. So the parents of the lowest rank come first, and the others again
    at the end, with the work that the first ones have caused. `parent_locks` locks in the same order.
    """
    sent = [event.kwargs for event in batch.events]
    for using in {one["using"] for one in sent}:
        of_alias = [one for one in sent if one["using"] == using]
        work = Work().join(one["work"] for one in of_alias).net()
        cached = [instance for one in of_alias for instance in one["cached"]]
        _flush_lowest(using, work, cached)


def _flush_lowest(using: str, work: Work, cached: Sequence[Any]) -> None:
    ranks = {parent: rank_of(parent) for parent, _ in work.parents}
    lowest = min(ranks.values(), default=0)
    now = Work({at: by_key for at, by_key in work.parents.items() if ranks[at[0]] == lowest})
    later = Work({at: by_key for at, by_key in work.parents.items() if ranks[at[0]] != lowest})
    perform(now, using)
    _forget(using, cached, {parent for parent, _ in now.parents})
    if later:
        flush_later(using, later, cached)


def _forget(using: str, cached: Iterable[Any], parents: Collection[Any]) -> None:
    """Let instances load the values that parents of these models keep when they are next read."""
    for instance in {id(one): one for one in cached}.values():
        columns = [kept.field.attname for kept in fields_of(type(instance)) if kept.parent in parents]
        forget(instance, columns, using)


# --- locks and updates --------------------------------------------------------------------------------------------


def perform(work: Work, using: str) -> None:
    """Lock parents in the order of their tables and keys, and update them."""
    for (parent, _), by_key in sorted(work.parents.items(), key=lambda item: (item[0][0]._meta.label, str(item[0][1]))):
        kept = next(iter(next(iter(by_key.values()))))
        found, new = kept.locate(by_key, using)
        # A group's row that was deleted and is made again has none of the values that its other rows add up to.
        recounts = dict.fromkeys(fields_of(parent), RECOUNT) if new else {}
        perform_on(parent, {pk: recounts if key in new else by_key[key] for key, pk in found.items()}, using)


def perform_on(parent: Any, by_key: Mapping[Any, Deltas], using: str) -> None:
    """Lock parents, given by their primary keys, and update them."""
    by_key = {key: {kept: kept.outcome(what) for kept, what in deltas.items()} for key, deltas in by_key.items()}
    asks_children = any(_asks_children(what) for deltas in by_key.values() for what in deltas.values())
    if asks_children or len(by_key) > 1:
        lock(parent, [*by_key], using)
    groups: dict[frozenset[tuple[KeptField, Any]], list[Any]] = {}
    for key, deltas in by_key.items():
        groups.setdefault(frozenset(deltas.items()), []).append(key)
    if len(groups) <= FEW:
        for group, keys in groups.items():
            _update_all(parent, keys, dict(group), using)
    else:
        _update_each(parent, by_key, using)


def _asks_children(outcome: Any) -> bool:
    return outcome is RECOUNT or isinstance(outcome, Loss)


def _update_all(parent: Any, keys: Sequence[Any], deltas: Deltas, using: str) -> None:
    values = {kept.name: kept.updated(what, using) for kept, what in deltas.items()}
    for chunk in in_chunks(keys, CHUNK):
        parent._base_manager.using(using).filter(pk__in=chunk).update(**values)


def _update_each(parent: Any, by_key: Mapping[Any, Deltas], using: str) -> None:
    """Recount what is to be recounted, and give each of the others a number of its own."""
    recounts = [(kept, key) for key, deltas in by_key.items() for kept, what in deltas.items() if _asks_children(what)]
    for kept, pairs in groupby(sorted(recounts, key=lambda pair: pair[0].name), key=lambda pair: pair[0]):
        _update_all(parent, [key for _, key in pairs], {kept: RECOUNT}, using)
    added = [key for key, deltas in by_key.items() if not all(map(_asks_children, deltas.values()))]
    for chunk in in_chunks(added, CHUNK):
        values = _added_to_each({key: by_key[key] for key in chunk})
        parent._base_manager.using(using).filter(pk__in=chunk).update(**values)


def _added_to_each(by_key: dict[Any, Deltas]) -> dict[str, Any]:
    numbers: dict[KeptField, dict[Any, Any]] = {}
    for key, deltas in by_key.items():
        for kept, what in deltas.items():
            if not _asks_children(what):
                numbers.setdefault(kept, {})[key] = what
    return {kept.name: kept.updated_each(of_kept) for kept, of_kept in numbers.items()}


def connect(declaration: Declaration) -> None:
    """Connect the receiver of the work until the last declaration is gone; twice is once."""
    kept_fields_changed.connect(flush, delivery=BeforeCommit(batch=True, last=True))
    declaration.undone_by(_disconnect_after_the_last)


def _disconnect_after_the_last() -> None:
    if not any(kept_fields()):
        kept_fields_changed.disconnect(flush)
