"""Declaring: `keep` and `keep_groups` describe kept fields, verify and connect them as soon as models are loaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from django.apps import apps
from django.core.checks import register
from django.db.models import Model
from django.db.models.base import ModelBase

from heliograph.model_senders import when_models_are_loaded
from heliograph.recipes.kept import flushing, locking, pre_save, receiving, verdicts
from heliograph.recipes.kept.checks import check_kept_fields
from heliograph.recipes.kept.declarations import Declaration, declarations, line_of_caller
from heliograph.recipes.kept.groups import group_field, grouping
from heliograph.recipes.kept.kept_fields import KeptField, kept_field


def keep(model: type[Model] | str, **fields: Any) -> Declaration:
    """Keep an aggregate over a reverse relation in each of these fields of a model.

    `keep(Post, comment_count=Count("comments"))` stores in `Post.comment_count` what
    `Post.objects.annotate(n=Count("comments"))` gives, after each transaction that creates, changes, moves or deletes
    comments. The model may be named "app.Model". Returns a handle with `disconnect()`.

    Raises TypeError, with what to do, for what cannot be kept right; if models are not loaded yet, a system check
    reports it.
    """
    declaration = Declaration(f"keep({_label(model)}, {_texts(fields)})", line_of_caller())
    _verify(model, fields)

    def described() -> tuple[KeptField, ...]:
        parent = apps.get_model(model) if isinstance(model, str) else model
        return tuple(kept_field(parent, name, declared) for name, declared in fields.items())

    return _declared(declaration, described)


def keep_groups(
    model: type[Model] | str, *, into: type[Model] | str, by: Mapping[str, Any], **fields: Any
) -> Declaration:
    """Keep aggregates of a model's rows, by groups, in a model that has one row for each group.

    `keep_groups(Payment, into=DailyRevenue, by={"day": TruncDate("paid_at")}, revenue=Sum("amount", default=0),
    payments=Count("*"))` keeps the revenue of each day, and makes the row of a day with its first payment. The fields
    of `by` must be unique together. Days are those of the time zone in the settings. Returns a handle with
    `disconnect()`.

    Raises TypeError, with what to do, for what cannot be kept right; if models are not loaded yet, a system check
    reports it.
    """
    text = f"keep_groups({_label(model)}, into={_label(into)}, by={by!r}, {_texts(fields)})"
    declaration = Declaration(text, line_of_caller())
    for one in (model, into):
        _verify(one, fields)

    def described() -> tuple[KeptField, ...]:
        child, groups = (apps.get_model(one) if isinstance(one, str) else one for one in (model, into))
        grouped = grouping(child, groups, by, text)
        return tuple(group_field(child, groups, grouped, name, fields[name], text) for name in fields)

    return _declared(declaration, described)


def _label(model: Any) -> str:
    return str(getattr(getattr(model, "_meta", None), "label", model))


def _texts(fields: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={fields[name]!r}" for name in fields)


def _verify(model: Any, fields: dict[str, Any]) -> None:
    if not isinstance(model, str) and (not isinstance(model, ModelBase) or model is Model):
        raise TypeError(f"keep() takes a model, or its name, such as keep('blog.Post', ...), not {model!r}.")
    if not fields:
        raise TypeError("keep() has no field to keep. Name one: keep(Post, comment_count=Count('comments')).")
    options = getattr(model, "_meta", None)
    if options is not None and (options.abstract or options.swapped):
        raise TypeError(f"keep() takes a model with a table, and {options.label} is abstract or swapped.")


def _declared(declaration: Declaration, described: Callable[[], tuple[KeptField, ...]]) -> Declaration:
    """Connect a declaration as soon as models are loaded."""
    register(check_kept_fields)
    declarations.append(declaration)
    when_models_are_loaded(partial(_connect, declaration, described, apps.models_ready))
    return declaration


def _connect(declaration: Declaration, described: Callable[[], tuple[KeptField, ...]], raises: bool) -> None:
    if declaration not in declarations:  # disconnected before models were loaded
        return
    try:
        fields = described()
        for kept in fields:
            verdicts.verify(kept)
    except (TypeError, LookupError) as error:
        if raises:
            declarations.remove(declaration)
            raise
        declaration.problem = error
        return
    declaration.fields = fields
    flushing.connect(declaration)
    receiving.connect(declaration)
    locking.connect(declaration)
    pre_save.guard(declaration)
