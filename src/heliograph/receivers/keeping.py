"""The option `keeps`: columns that writes of existing rows leave alone while a receiver is connected."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from django.db.models.base import ModelBase

from heliograph.catalogue import title
from heliograph.conditions import OnFields, Problem, fields_of
from heliograph.dispatch.condition_base import Target
from heliograph.dispatch.describe import describe
from heliograph.dispatch.options import Fact
from heliograph.model_senders import when_models_are_loaded
from heliograph.orm.kept_columns import keep
from heliograph.orm.steps import Hold


@dataclass(frozen=True)
class Keeps(Fact):
    """The option `keeps`: the fields that the receiver keeps."""

    names: tuple[str, ...]
    holds: list[Hold] = field(default_factory=list, compare=False)  # while they exist, the fields are kept

    def written(self) -> Mapping[str, Any]:
        return {"keeps": [*self.names]}


def keeps_at(names: tuple[str, ...], receiver: Callable[..., Any], target: Target, given: Mapping[str, Any]) -> Keeps:
    """Return the fact that a receiver keeps fields of its sender.

    Raises TypeError or FieldDoesNotExist where that makes no sense. If models are not loaded yet, the system check
    heliograph.E002 reports a wrong name.
    """
    _verify(receiver, target, given)
    keeps, model = Keeps(names), target.sender
    if model._meta.apps.models_ready:
        for problem in Kept(names).problems(model):
            raise problem.error(f"{problem.text} {problem.hint}")
        _begin(weakref.ref(keeps), model)
    else:
        when_models_are_loaded(partial(_begin, weakref.ref(keeps), model))
    return keeps


def _begin(reference: weakref.ref[Keeps], model: Any) -> None:
    keeps = reference()  # the receiver may have left before models were loaded
    if keeps is not None:
        keeps.holds.extend(hold for one in fields_of(model, keeps.names) for hold in keep(one))


def _verify(receiver: Callable[..., Any], target: Target, given: Mapping[str, Any]) -> None:
    who = describe(receiver)
    if target.entry is None or target.entry.name != "pre_save":
        raise TypeError(f"{who} has keeps=, which works on pre_save, not on {title(target.signal)}.")
    is_model = isinstance(target.sender, ModelBase)
    if not is_model or target.sender._meta.abstract:
        raise TypeError(f"{who} has keeps=, which is about the columns of one model: pass it as sender=.")
    if given.get("using") is not None:
        raise TypeError(f"{who} has keeps=, which holds in every database: leave using= out.")


@dataclass(frozen=True, repr=False)
class Kept(OnFields):
    """The fields that `keeps` names, verified like the fields of a condition."""

    def problems(self, model: Any) -> Iterator[Problem]:
        yield from super().problems(model)
        for one in fields_of(model, self.fields):
            label = f"{self!r}: {model._meta.label}.{one.name}"
            if one.generated:
                yield Problem(f"{label} is generated: no save writes it.", "Leave it out.", TypeError)
            elif one.primary_key or one in model._meta.pk_fields:
                yield Problem(f"{label} is the primary key, which says which row it is.", "Leave it out.", TypeError)

    def __repr__(self) -> str:
        return f"keeps={[*self.fields]!r}"
