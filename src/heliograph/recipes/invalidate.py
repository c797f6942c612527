"""Invalidate: the keys of a cache that depend on a row are removed after the commit of what changes the row."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from django.conf import settings
from django.db.models import Model

from heliograph import UNKNOWN, Batch, Inline, OnCommit, OnRollback, Signal, changed, created
from heliograph.recipes.cached_values import add_changed, forget, remove_changed
from heliograph.recipes.declarations import Declaration, declare, written
from heliograph.signals import post_delete, post_save

Keys = Callable[[Any], str | Iterable[str]]
State = tuple[Any, ...]  # the values of a row

# The order of the receivers: another receiver of the same save may read a key, which it must find changed.
_FIRST = -1000
# Sent in the transaction of each write that changes keys. Its receivers are called once for all writes of the
# transaction; those of a savepoint that is rolled back are left out.
keys_changed = Signal(name="heliograph.recipes.keys_changed")


def invalidate(model: type[Model] | str, keys: Keys, *, cache: str = "default") -> Declaration:
    """Remove keys from a cache after the commit of a transaction that creates, changes or deletes a row of the model.

        invalidate(Product, lambda one: [f"product:{one.pk}", f"shop:{one.shop_id}"])

    The function is called with each row as it was and as it is, and the keys of both are removed, once for a
    transaction. Values that `cached()` stores are safe from readers that have computed them before the commit. `cache`
    is the alias of the cache. The model may be named "app.Model". Returns a `Declaration`.

    Raises TypeError, with what to do, for keys that are no function, and for a cache that is not in the settings.
    """
    text = written("invalidate", model, keys, **({} if cache == "default" else {"cache": cache}))
    _verify(text, keys, cache)

    def connect(declaration: Declaration, model: type[Model]) -> None:
        _verify_table(text, model)
        invalidating = Invalidating(model, keys, cache)
        options: Any = {"sender": model._meta.concrete_model, "subclasses": True, "bulk": True, "fetch": "lock"}
        is_changed = changed(*invalidating.names)
        options |= {"delivery": Inline(batch=True), "order": _FIRST}
        declaration.connect(post_save, invalidating, when=created | is_changed, **options)
        declaration.connect(post_delete, invalidating, when=is_changed, **options)
        _connect_ends(declaration)

    return declare(text, connect, model)


class Invalidating:
    """The receiver of the rows of one model."""

    def __init__(self, model: Any, keys: Keys, cache: str) -> None:
        self.model = model
        self.keys = keys
        self.cache = cache
        self.names = [field.name for field in model._meta.concrete_fields]
        self.attributes = [field.attname for field in model._meta.concrete_fields]
        self.__name__ = self.__qualname__ = f"invalidate({model._meta.label})"

    def __call__(self, sender: Any, batch: Batch, using: str, **kwargs: Any) -> None:
        """Remember, for the commit, the keys of rows as they were and as they are."""
        rows = batch.values(*self.names)
        states = (state for _, old, new in rows for state in (old, new) if state is not None)
        keys = [*dict.fromkeys(key for state in states for key in self._keys_of(state, using))]
        if keys:
            add_changed(using, self.cache, keys)
            keys_changed.send(sender=Invalidating, using=using, cache=self.cache, keys=keys)

    def _keys_of(self, state: State, using: str) -> Iterable[str]:
        """Return the keys of a row; what only the database knows, such as F("price") + 1, is deferred."""
        names: Sequence[str] = self.attributes
        if any(value is UNKNOWN for value in state):
            known = [one for one in zip(names, state, strict=True) if one[1] is not UNKNOWN]
            names, state = zip(*known, strict=True)
        keys = self.keys(self.model.from_db(using, names, state))
        return [keys] if isinstance(keys, str) else keys


# --- the end of a transaction -------------------------------------------------------------------------------------

_active: list[Declaration] = []


def _connect_ends(declaration: Declaration) -> None:
    """Connect the receivers of the commit and of the rollback until the last declaration is gone; twice is once."""
    _active.append(declaration)
    keys_changed.connect(remove, delivery=OnCommit(batch=True))
    keys_changed.connect(leave, delivery=OnRollback(batch=True))
    declaration.undone_by(_disconnect_ends, declaration)


def _disconnect_ends(declaration: Declaration) -> None:
    _active.remove(declaration)
    if not _active:
        keys_changed.disconnect(remove)
        keys_changed.disconnect(leave)


def remove(sender: Any, batch: Batch, using: str, **kwargs: Any) -> None:
    """Remove the keys that a transaction has changed, of each cache at once."""
    leave(sender, batch, using)
    by_cache: dict[str, dict[str, None]] = {}
    for event in batch.events:
        by_cache.setdefault(event.kwargs["cache"], {}).update(dict.fromkeys(event.kwargs["keys"]))
    errors = [error for cache, keys in by_cache.items() if (error := _error_of(cache, keys)) is not None]
    if errors:
        raise ExceptionGroup(f"{len(errors)} of the caches did not remove their keys.", errors)


def _error_of(cache: str, keys: Iterable[str]) -> Exception | None:
    try:
        forget(cache, keys)
    except Exception as error:
        return error
    return None


def leave(sender: Any, batch: Batch, using: str, **kwargs: Any) -> None:
    """Let the values of keys be read from the cache again, after a commit or a rollback."""
    sends = [event.kwargs for event in batch.events]
    remove_changed(using, ((sent["cache"], key) for sent in sends for key in sent["keys"]))


# --- what is refused ----------------------------------------------------------------------------------------------


def _verify(text: str, keys: Any, cache: str) -> None:
    if not callable(keys):
        raise TypeError(f"{text}: keys are a function of a row. Write: lambda row: [f'key:{{row.pk}}'].")
    if cache not in settings.CACHES:
        there = ", ".join(map(repr, settings.CACHES))
        raise TypeError(f"{text}: there is no cache {cache!r} in settings.CACHES. There are: {there}.")


def _verify_table(text: str, model: type[Model]) -> None:
    table: Any = model._meta.concrete_model
    for parent in table._meta.all_parents[:1]:
        label = parent._meta.label
        raise TypeError(
            f"{text}: {model._meta.label} is a multi-table child, and a write of its columns in {label} may not say so."
            f" Declare it for {label}, whose rows are those of all its children."
        )
