"""Filters: which of the connected receivers a command shows, and what to suggest where none is left."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from typing import Any, Protocol, TypeVar

from django.apps import apps


class Filtered(Protocol):
    """The interface of everything that can be filtered: a connected receiver, or a call in a recording."""

    @property
    def signal_name(self) -> str:
        """The name of the signal with its module."""

    @property
    def name(self) -> str:
        """The name of the receiver with its module."""

    @property
    def sender(self) -> str:
        """The sender as text: the label of a model."""

    @property
    def sender_app(self) -> str | None:
        """The label of the app of a sender that is a model or an app."""

    @property
    def written(self) -> tuple[str, ...]:
        """The fields that the receiver is known to write, such as "shop.Order.total"."""

    def receives_from(self, model: Any) -> bool:
        """Return whether the sender is this model."""


Test = Callable[[Filtered], bool]
F = TypeVar("F", bound=Filtered)


@dataclass(frozen=True)
class Filters:
    """Names of several kinds: a receiver must match one name of each kind; a kind without names filters nothing."""

    parts: Sequence[str] = ()  # contained in the name of the signal, the receiver, the sender or a written field
    apps: Sequence[str] = ()
    models: Sequence[str] = ()
    signals: Sequence[str] = ()  # as whole words of the name: "post_save"
    receivers: Sequence[str] = ()

    @property
    def given(self) -> list[tuple[str, Sequence[str]]]:
        """The kinds that have names, by the names of their options; the parts have none."""
        kinds = ("", self.parts), ("app", self.apps), ("model", self.models)
        return [kind for kind in (*kinds, ("signal", self.signals), ("receiver", self.receivers)) if kind[1]]

    def matching(self, receivers: Iterable[F]) -> list[F]:
        """Return the receivers that match, in their order."""
        tests = [[_TESTS[kind](name) for name in names] for kind, names in self.given]
        return [one for one in receivers if all(any(test(one) for test in of_kind) for of_kind in tests)]

    def match_silent(self, signal_name: str) -> bool:
        """Return whether a signal without receivers matches: by its name, if no filter asks for something else."""
        parts = not self.parts or any(part in signal_name for part in self.parts)
        names = not self.signals or any(has_word(signal_name, name) for name in self.signals)
        return parts and names and not (self.apps or self.models or self.receivers)

    def why_nothing(self, receivers: Sequence[Filtered]) -> str:
        """Return the text for a user whose filters match no receiver: the name that matches none, and names near it."""
        if not self.given:
            return "No receiver is connected."
        for kind, names in self.given:
            for name in names:
                if not any(map(_TESTS[kind](name), receivers)):
                    return f"{_absent(kind, name)}{_suggestion(name, _KNOWN[kind](receivers))}"
        return "Each of the filters matches receivers, and no receiver matches all of them."


def add_arguments(parser: Any) -> None:
    """Add the filters to the arguments of a verb."""
    text = "only receivers whose signal, name, sender or written field contains one of these, such as shop.Order.total"
    parser.add_argument("part", nargs="*", help=text)
    for option, metavar, text in (
        ("--app", "LABEL", "only receivers, senders and signals of this app"),
        ("--model", "app.Model", "only receivers of sends by this model, also those of any model"),
        ("--signal", "NAME", "only receivers of the signal with this name, such as post_save"),
        ("--receiver", "NAME", "only the receiver with this name, or the receivers of this module"),
    ):
        parser.add_argument(option, metavar=metavar, action="append", default=[], help=f"{text}; may be repeated")


def filters_of(options: dict[str, Any]) -> Filters:
    """Return the filters among the options of a verb."""
    return Filters(*(options[name] for name in ("part", "app", "model", "signal", "receiver")))


# --- tests ----------------------------------------------------------------------------------------------------------


def has_word(text: str, word: str) -> bool:
    """Return whether a text has a name as a whole word: "shop.send_mail" has "send_mail", and not "send"."""
    return re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text) is not None


def _test_of_part(part: str) -> Test:
    return lambda one: any(part in name for name in (one.signal_name, one.name, one.sender, *one.written))


def _test_of_app(label: str) -> Test:
    return lambda one: label in (one.sender_app, *map(_app_of, (one.signal_name, one.sender, one.name)))


@cache
def _app_of(name: str) -> str | None:
    """Return the label of the app in which the thing with this dotted name is."""
    found = apps.get_containing_app_config(name.removeprefix("partial("))
    return None if found is None else found.label


def _test_of_model(label: str) -> Test:
    models = _models_named(label)
    return lambda one: any(map(one.receives_from, models))


def _models_named(label: str) -> list[Any]:
    """Return the models with this label or this name, in whatever case."""
    names = label.lower()
    return [
        model
        for model in apps.get_models(include_auto_created=True)
        if names in (model._meta.label_lower, model._meta.model_name)
    ]


def _test_of_signal(name: str) -> Test:
    return lambda one: has_word(one.signal_name, name)


def _test_of_receiver(name: str) -> Test:
    return lambda one: has_word(one.name, name)


_TESTS: dict[str, Callable[[str], Test]] = {
    "": _test_of_part,
    "app": _test_of_app,
    "model": _test_of_model,
    "signal": _test_of_signal,
    "receiver": _test_of_receiver,
}


# --- suggestions ----------------------------------------------------------------------------------------------------


def _absent(kind: str, name: str) -> str:
    return "No signal, receiver or sender has such a name." if not kind else f"No receiver matches --{kind} {name}."


def _suggestion(name: str, known: set[str]) -> str:
    """Return the names near a name that matches nothing, as a question to the user."""
    close = get_close_matches(name, sorted(known), n=3)
    return f" Did you mean {' or '.join(close)}?" if close else ""


def _model_labels(receivers: Sequence[Filtered]) -> set[str]:
    return {name for model in apps.get_models() for name in (model._meta.label, model.__name__)}


def _signal_names(receivers: Sequence[Filtered]) -> set[str]:
    return _ends(one.signal_name for one in receivers)


def _receiver_names(receivers: Sequence[Filtered]) -> set[str]:
    return _ends(one.name for one in receivers)


def _ends(names: Iterable[str]) -> set[str]:
    """Return names, and each without its module."""
    return {end for name in names for end in (name, name.partition("(")[0].rpartition(".")[2])}


def _all_names(receivers: Sequence[Filtered]) -> set[str]:
    others = {name for one in receivers for name in (one.sender, *one.written)}
    return _signal_names(receivers) | _receiver_names(receivers) | others


_KNOWN: dict[str, Callable[[Sequence[Filtered]], set[str]]] = {
    "": _all_names,
    "app": lambda receivers: {config.label for config in apps.get_app_configs()},
    "model": _model_labels,
    "signal": _signal_names,
    "receiver": _receiver_names,
}
