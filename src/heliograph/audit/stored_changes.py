"""The text of an entry becomes changes again: values of the fields of its model, as far as the text has them."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache, partial
from typing import Any, Final, NamedTuple, NoReturn

from django.apps import apps

from heliograph.changes.comparing import Change
from heliograph.changes.values import NO_ROW, UNKNOWN, Mark
from heliograph.outbox.payload.errors import UnreadableError
from heliograph.outbox.payload.value_decoding import Decoder


class Masked(Mark):
    """The value of a masked field in the changes of an entry: the log says that it has changed, and has no values."""

    MASKED = "MASKED"


#: The value of a masked field: the log says that it has changed, and has no values.
MASKED: Final = Masked.MASKED


class Related(NamedTuple):
    """The keys that were `added` to a many-to-many relation, and `removed` from it, in the changes of an entry."""

    added: tuple[Any, ...]
    removed: tuple[Any, ...]


class CutText(str):
    """The beginning of a text that was too long for the log; `length` is how many characters the text had."""

    length: int

    def __repr__(self) -> str:
        return f"<the first {len(self)} of {self.length} characters: {str(self)!r}>"


def cut_text(beginning: str, length: int) -> CutText:
    """Return the beginning of a text of this length."""
    found = CutText(beginning)
    found.length = length
    return found


def model_labelled(label: str) -> Any:
    """Return the model with a label; None if the project has none."""
    try:
        return apps.get_model(label)
    except (LookupError, ValueError):
        return None


def changes_in(label: str, action: str, text: str) -> dict[str, Change | Related]:
    """Return the changes in the text of an entry, by the names of the fields; none if the values were forgotten."""
    model = model_labelled(label)
    found = _parsed(text)
    return {name: _change(_reader(model, name), action, stored) for name, stored in found.items()}


def called_in(action: str, text: str) -> dict[str, Change]:
    """Return how the objects of foreign keys were called then, by the names of the fields whose texts have that."""
    found = {name: stored["names"] for name, stored in _parsed(text).items() if _has(stored, "names")}
    return {name: _between(action, names[0], names[-1]) for name, names in found.items()}


def _parsed(text: str) -> dict[str, Any]:
    return json.loads(text) if text else {}


# --- the sides of a change ----------------------------------------------------------------------------------------

Read = Callable[[Any], Any]


def _change(read: Read, action: str, stored: Any) -> Change | Related:
    if _has(stored, "added"):
        return Related(tuple(map(read, stored["added"])), tuple(map(read, stored["removed"])))
    if stored == "masked":
        return _between(action, MASKED, MASKED)
    values = [*map(read, _sides(stored))]
    if _has(stored, "cut"):
        values = [cut_text(one, length) if length else one for one, length in zip(values, stored["cut"], strict=True)]
    return _between(action, values[0], values[-1])


def _sides(stored: Any) -> list[Any]:
    """Return the JSON of the values of a field: one, or the old and the new one."""
    if isinstance(stored, list):
        return stored
    return [stored[name] for name in ("old", "new", "value") if name in stored]


def _between(action: str, old: Any, new: Any) -> Change:
    return Change(NO_ROW if action == "created" else old, NO_ROW if action == "deleted" else new)


def _has(stored: Any, name: str) -> bool:
    return isinstance(stored, dict) and name in stored


# --- values of a field --------------------------------------------------------------------------------------------


@cache
def _reader(model: Any, name: str) -> Read:
    """Return the function that makes a value of JSON, of the type of the field if the model has it still."""
    fields = {} if model is None else {one.name: one for one in (*model._meta.fields, *model._meta.many_to_many)}
    field = fields.get(name)
    if field is not None and field.many_to_many:
        field = field.related_model._meta.pk
    return partial(_value, _decoder(model), field)


def _value(decode: Decoder, field: Any, stored: Any) -> Any:
    try:
        value = decode(stored)
    except UnreadableError:  # of a class or a model that is gone: the value is given as it is stored
        return stored
    return value if field is None or value is None or value is UNKNOWN else _of_type(field, value)


def _of_type(field: Any, value: Any) -> Any:
    try:
        return field.to_python(value)
    except Exception:  # a field may raise any error for a value that it does not accept: the column had another type
        return value


def _decoder(model: Any) -> Decoder:
    models = () if model is None else (model, *model._meta.all_parents)
    return Decoder(_refuse, _refuse, models.__contains__)


def _refuse(value: Any) -> NoReturn:
    raise UnreadableError(f"{value} is no value of a field.")
