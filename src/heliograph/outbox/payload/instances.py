"""The instances of a stored call: loaded at once if the receiver has a parameter for them, or when they are used."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from django.utils.functional import SimpleLazyObject

from heliograph.outbox.payload.errors import MissingError
from heliograph.outbox.payload.value_decoding import Load, Reference


def loading(using: str, *, is_called: bool) -> Load:
    """Return a function that loads the instance of a reference.

    For an instance that is gone it raises MissingError, or, if the receiver is called nevertheless, returns one with
    only its primary key.
    """
    return partial(_load, using, is_called)


def _load(using: str, is_called: bool, reference: Reference) -> Any:
    alias = reference.using or using
    for instance in reference.model._base_manager.using(alias).filter(pk=reference.key)[:1]:
        return instance
    if is_called:
        return bare(reference.model, reference.key, alias)
    raise MissingError.of(reference.model, reference.key, alias)


def bare(model: Any, key: Any, using: str) -> Any:
    """Return an instance with its primary key, whose other fields are not loaded."""
    parts = key if isinstance(key, tuple) else (key,)
    return model.from_db(using, [field.attname for field in model._meta.pk_fields], [*parts])


# --- for which the receiver has no parameter --------------------------------------------------------------------


def loading_unasked(load: Load, *, is_async: bool) -> Load:
    """Return a function for instances that the receiver does not ask for.

    They are loaded, or found to be gone, when they are used; for an async receiver they are loaded at once, since its
    code could not do that in the event loop.
    """
    return partial(_load_at_once if is_async else _load_when_used, load)


def _load_at_once(load: Callable[[Reference], Any], reference: Reference) -> Any:
    try:
        return load(reference)
    except MissingError:
        return _load_when_used(load, reference)


def _load_when_used(load: Callable[[Reference], Any], reference: Reference) -> Any:
    instance = SimpleLazyObject(partial(load, reference))
    instance.__dict__[_REFERENCE] = reference
    return instance


_REFERENCE = "_heliograph_reference"


def handled(payload: Mapping[str, Any], using: str) -> Any:
    """Return the instance that a receiver is at work on; with only its primary key if it is not loaded yet."""
    instance = payload["instance"]
    reference = instance.__dict__.get(_REFERENCE) if type(instance) is SimpleLazyObject else None
    return instance if reference is None else bare(reference.model, reference.key, reference.using or using)
