"""Declaring: `keep`, which describes kept fields, verifies and connects them, as soon as models are loaded."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.apps import apps
from django.core.checks import register
from django.db.models import Model
from django.db.models.base import ModelBase

from heliograph.model_senders import when_models_are_loaded
from heliograph.recipes.kept import flush, locking, receiving, verdicts, writing
from heliograph.recipes.kept.checks import check_kept_fields
from heliograph.recipes.kept.fields import KeptField, kept_field
from heliograph.recipes.kept.registry import Declaration, declarations, place_of_caller


def keep(model: type[Model] | str, **fields: Any) -> Declaration:
    """Keep an aggregate over a reverse relation in each of these fields of a model.

    `keep(Post, comment_count=Count("comments"))` stores in `Post.comment_count` what
    `Post.objects.annotate(n=Count("comments"))` gives, after each transaction that creates, changes, moves or deletes
    comments. The model may be named "app.Model". Returns a handle with `disconnect()`.

    Raises TypeError, with what to do, for what cannot be kept right; if models are not loaded yet, a system check
    reports it.
    """
    declaration = Declaration(_text(model, fields), place_of_caller())
    _verify(model, fields)
    register(check_kept_fields)
    declarations.append(declaration)
    when_models_are_loaded(partial(_connect, declaration, model, fields, apps.models_ready))
    return declaration


def _text(model: Any, fields: dict[str, Any]) -> str:
    label = getattr(getattr(model, "_meta", None), "label", model)
    return f"keep({', '.join([str(label), *(f'{name}={fields[name]!r}' for name in fields)])})"


def _verify(model: Any, fields: dict[str, Any]) -> None:
    if not isinstance(model, str) and (not isinstance(model, ModelBase) or model is Model):
        raise TypeError(f"keep() takes a model, or its name, such as keep('blog.Post', ...), not {model!r}.")
    if not fields:
        raise TypeError("keep() has no field to keep. Name one: keep(Post, comment_count=Count('comments')).")
    options = getattr(model, "_meta", None)
    if options is not None and (options.abstract or options.swapped):
        raise TypeError(f"keep() takes a model with a table, and {options.label} is abstract or swapped.")


def _connect(declaration: Declaration, model: Any, fields: dict[str, Any], raises: bool) -> None:
    if declaration not in declarations:  # disconnected before models were loaded
        return
    try:
        described = _described(model, fields)
    except (TypeError, LookupError) as error:
        if raises:
            declarations.remove(declaration)
            raise
        declaration.problem = error
        return
    declaration.fields = described
    flush.connect(declaration)
    receiving.connect(declaration)
    locking.connect(declaration)
    writing.guard(declaration)


def _described(model: Any, fields: dict[str, Any]) -> tuple[KeptField, ...]:
    parent = apps.get_model(model) if isinstance(model, str) else model
    described = tuple(kept_field(parent, name, declared) for name, declared in fields.items())
    for kept in described:
        verdicts.verify(kept)
    return described
