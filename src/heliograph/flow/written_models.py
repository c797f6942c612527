"""The models whose rows a receiver is known to write: by a recipe, by the audit log, or by the option `writes`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from django.apps import apps
from django.core.exceptions import FieldDoesNotExist

from heliograph.dispatch.options import WritesRows
from heliograph.flow.connected_receivers import ConnectedReceiver
from heliograph.receivers.facts import AsksFor, DeclaredBy


def models_written_by(one: ConnectedReceiver) -> tuple[str, ...]:
    """Return the labels of the models that a receiver writes; its own sender, if it sets fields of the row."""
    options = one.connection.options
    fact, asked, declared = options.find(WritesRows), options.find(AsksFor), options.find(DeclaredBy)
    own = (one.sender_label,) if asked is not None and asked.writes and one.sender_label else ()
    of_library = fact.labels if fact is not None else ()
    of_declaration = _models_of(declared.writes()) if declared is not None else ()
    return tuple(dict.fromkeys((*own, *of_library, *of_declaration)))


def _models_of(names: Iterable[str]) -> Iterator[str]:
    """Yield the models of names that are fields, such as "shop.Order.total"."""
    for text in names:
        label, _, name = text.rpartition(".")
        try:
            apps.get_model(label)._meta.get_field(name)
        except (LookupError, ValueError, FieldDoesNotExist):
            continue  # it is no field, but an index or all rows
        yield label
