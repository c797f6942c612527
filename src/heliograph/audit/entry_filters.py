"""The filters of a page of entries: the form in which somebody gives them, and the entries that they stand for."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib.auth import get_user_model

from heliograph.audit.entry_pages import Branch, Wanted, cursor_of, times_between
from heliograph.audit.models import Action, Kind

_KEPT = ("model", "action", "field", "actor", "since", "until")


class _Time(forms.DateTimeInput):
    input_type = "datetime-local"


class EntryFilters(forms.Form):
    """Which entries are wanted. Times are in the time zone of the viewer."""

    model = forms.ChoiceField(required=False)
    action = forms.ChoiceField(required=False, choices=[("", "Any"), *Action.choices])
    field = forms.ChoiceField(required=False)
    actor = forms.CharField(
        required=False,
        max_length=255,
        help_text="A user name, or an actor such as auth.User 7.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    since = forms.DateTimeField(required=False, widget=_Time)
    until = forms.DateTimeField(required=False, widget=_Time, help_text="Not including this time.")

    def __init__(self, given: Mapping[str, Any], kinds: Sequence[Any] = (), *, without: Collection[str] = ()) -> None:
        super().__init__(given, auto_id="audit-filter-%s")
        _choose(self.fields["model"], {kind.model for kind in kinds}, given.get("model"))
        of_model = [kind for kind in kinds if not given.get("model") or kind.model == given["model"]]
        _choose(self.fields["field"], {name for kind in of_model for name in names_of(kind)}, given.get("field"))
        for name in without:
            del self.fields[name]

    @property
    def given(self) -> dict[str, Any]:
        """The filters that somebody has given."""
        return {name: value for name, value in self.cleaned_data.items() if value} if self.is_valid() else {}

    @property
    def query(self) -> dict[str, str]:
        """The filters as the query of an address."""
        return {name: value for name in _KEPT if name in self.fields and (value := self.data.get(name))}


def _choose(field: Any, names: Iterable[str], given: str | None) -> None:
    """Let a field have these choices, and the given value too, whose entries may have been removed since."""
    field.choices = [("", "Any"), *((name, name) for name in sorted({*names, *([given] if given else [])}))]


def names_of(kind: Any) -> list[str]:
    """Return the names of the fields of a kind."""
    return [name for name in kind.fields.split(",") if name]


def actor_of(text: str) -> str:
    """Return the actor that a text stands for: the user with this name, or the text itself."""
    users = get_user_model()
    key = users._default_manager.filter(**{users.USERNAME_FIELD: text}).values_list("pk", flat=True).first()
    return text if key is None else f"{users._meta.label} {key}"


# --- from filters to entries --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scope:
    """The entries of a page before they are filtered: entries of all these kinds, or only of some objects."""

    using: str
    kinds: Sequence[Any]
    objects: Mapping[str, str] | None = None  # keys by the label of the model; None for all objects
    is_all: bool = False  # whether there are no kinds but these


def kinds_about(using: str, labels: Collection[str] | None = None) -> list[Any]:
    """Return the kinds that are about some models, or about any."""
    kinds = Kind.objects.using(using)
    return [*(kinds if labels is None else kinds.filter(model__in=labels))]


def wanted_of(scope: Scope, filters: EntryFilters, before: str) -> Wanted | None:
    """Return which entries a page has; None if there are none."""
    given, using = filters.given, scope.using
    if not filters.is_valid():
        return None
    kinds = [kind for kind in scope.kinds if _has(kind, given)]
    actor = actor_of(given["actor"]) if "actor" in given else None
    facts: dict[str, Any] = {"actor": actor, "before": cursor_of(before)}
    if "since" in given or "until" in given:
        facts["times"] = times_between(using, given.get("since"), given.get("until"))
    if not kinds:
        return None
    if scope.objects is not None:
        return Wanted(using, [_branch(kind, scope.objects) for kind in kinds], **facts)
    if scope.is_all and len(kinds) == len(scope.kinds):
        return Wanted(using, **facts)
    if actor is not None:  # the change sets of an actor lead to fewer entries than the kinds
        return Wanted(using, kinds=frozenset(kind.pk for kind in kinds), **facts)
    return Wanted(using, [{"kind_id": kind.pk} for kind in kinds], **facts)


def _has(kind: Any, given: Mapping[str, Any]) -> bool:
    fits = {"model": kind.model, "action": kind.action}
    is_same = all(given.get(name) in (None, value) for name, value in fits.items())
    return is_same and ("field" not in given or given["field"] in names_of(kind))


def _branch(kind: Any, objects: Mapping[str, str]) -> Branch:
    return {"object": objects[kind.model], "kind_id": kind.pk}
