"""Declaring: `keep` and `keep_groups` describe kept fields, and verify and connect them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.core.checks import register
from django.db.models import Model

from heliograph.recipes.declarations import Declaration, declare, written
from heliograph.recipes.kept import all_fields, flushing, pre_save, receiving, verdicts
from heliograph.recipes.kept.checks import check_kept_fields
from heliograph.recipes.kept.groups import group_field, grouping
from heliograph.recipes.kept.kept_fields import KeptField, kept_field
from heliograph.recipes.kept.verifying import subject_of
from heliograph.recipes.parent_locks import Link, lock_before_writes, order


def keep(model: type[Model] | str, **fields: Any) -> Declaration:
    """Keep an aggregate over a reverse relation in each of these fields of a model.

        keep(Post, comment_count=Count("comments"), newest=Max("comments__at"))

    Each field stores what `Post.objects.annotate()` gives for the aggregate, after each transaction that creates,
    changes, moves or deletes comments. Aggregates are `Count`, `Sum`, `Avg`, `Min`, `Max`, `StdDev` and `Variance`.
    `manage.py recipes verify` compares the fields with the rows, and `recipes backfill` fills them. The model may be
    named "app.Model". Returns a `Declaration`.

    Raises TypeError, with what to do, for what cannot be kept right; if models are not loaded yet, a system check
    reports it.
    """
    _verify_named("keep", fields)

    def connect(declaration: Declaration, parent: type[Model]) -> None:
        _connect(declaration, [kept_field(parent, name, declared) for name, declared in fields.items()])

    return declare(written("keep", model, **fields), connect, model)


def keep_groups(
    model: type[Model] | str, *, into: type[Model] | str, by: Mapping[str, Any], **fields: Any
) -> Declaration:
    """Keep aggregates of a model's rows, by groups, in a model that has one row for each group.

        keep_groups(
            Payment,
            into=DailyRevenue,
            by={"day": TruncDate("paid_at")},
            revenue=Sum("amount", default=0),
            payments=Count("*"),
        )

    This keeps the revenue of each day, and makes the row of a day with its first payment. `into` is the model of the
    groups. `by` has the names of the fields that identify a group, each with its expression; these fields must be
    unique together. Days are those of the time zone in the settings. Models may be named "app.Model". Returns a
    `Declaration`.

    Raises TypeError, with what to do, for what cannot be kept right; if models are not loaded yet, a system check
    reports it.
    """
    _verify_named("keep_groups", fields)
    text = written("keep_groups", model, into=into, by=by, **fields)

    def connect(declaration: Declaration, child: type[Model], groups: type[Model]) -> None:
        grouped = grouping(child, groups, by, text)
        _connect(declaration, [group_field(child, groups, grouped, name, fields[name], text) for name in fields])

    return declare(text, connect, model, into)


def _verify_named(recipe: str, fields: Mapping[str, Any]) -> None:
    if not fields:
        raise TypeError(f"{recipe}() has no field to keep. Name one: keep(Post, comment_count=Count('comments')).")


def _connect(declaration: Declaration, fields: Sequence[KeptField]) -> None:
    for kept in fields:
        verdicts.verify(kept)
    register(check_kept_fields)
    flushing.connect(declaration)
    receiving.connect(declaration, fields)
    for kept in fields:
        if not kept.links:  # a group, to which no foreign key leads
            order(declaration, kept.child, kept.parent)
    lock_before_writes(declaration, [Link(key, kept.parent, kept.columns) for kept in fields for key in kept.links])
    pre_save.connect(declaration, fields)
    all_fields.add(declaration, fields)
    declaration.subjects = tuple(map(subject_of, fields))
