"""Connected receivers: a record of each connection, with the texts that listings, graphs and differences show."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.apps import AppConfig

from heliograph.catalogue import entry_of
from heliograph.dispatch import live_signals
from heliograph.dispatch.connections import Connection
from heliograph.dispatch.describe import full_name, source
from heliograph.dispatch.identity import is_async
from heliograph.dispatch.inspection import connections_of
from heliograph.flow.source_lines import file_and_line, short_line, short_source
from heliograph.receivers.facts import AsksFor, DeclaredBy


@dataclass(frozen=True)
class ConnectedReceiver:
    """A receiver that is connected to one sender of a signal; its texts are the same in every process."""

    signal: Any
    connection: Connection
    receiver: Any

    @cached_property
    def signal_name(self) -> str:
        """The name of the signal with its module."""
        return str(self.signal.name)

    @cached_property
    def name(self) -> str:
        """The name of the receiver with its module."""
        return full_name(self.receiver)

    @property
    def declared(self) -> DeclaredBy | None:
        """The declaration that connected the receiver, such as a recipe, if there is one."""
        return self.connection.options.find(DeclaredBy)

    @property
    def source(self) -> tuple[str, int] | None:
        """The file and line of the declaration, or else of the receiver; None where there is no Python source.

        A model that `HELIOGRAPH["AUDIT"]["MODELS"]` names is declared by a setting, which has no line.
        """
        if self.declared is None:
            return source(self.receiver)
        file, _, line = self.declared.line.rpartition(":")
        return (file, int(line)) if file else None

    @property
    def where(self) -> str:
        """The source as text, with the file as seen from here; the name of the setting that declares the receiver."""
        return short_source(self.source) if self.declared is None else short_line(self.declared.line)

    @cached_property
    def sender(self) -> str:
        """The label of the model, the name of another class, or the text of a value."""
        return sender_of(self.connection)

    @property
    def sender_label(self) -> str | None:
        """The label of the sender, if it is a model."""
        label: str | None = getattr(getattr(self.connection.sender, "_meta", None), "label", None)
        return label

    @property
    def sender_app(self) -> str | None:
        """The label of the app of a sender that is a model or an app."""
        sender = self.connection.sender
        return (
            sender.label
            if isinstance(sender, AppConfig)
            else getattr(getattr(sender, "_meta", None), "app_label", None)
        )

    @cached_property
    def options(self) -> dict[str, str | None]:
        """The options as they were written; None is for what has no value, such as "async"."""
        return {name: value and stable(value) for name, value in options_of(self.connection, self.receiver)}

    @cached_property
    def written(self) -> tuple[str, ...]:
        """The fields that it is known to write, such as "shop.Order.total": by the option `writes`, or as a recipe."""
        asked = self.connection.options.find(AsksFor)
        own = asked.writes if asked is not None and self.sender_label else ()
        of_declaration = self.declared.writes() if self.declared is not None else ()
        return (*(f"{self.sender_label}.{name}" for name in own), *of_declaration)

    @property
    def is_of_models(self) -> bool:
        """Whether models send the signal."""
        entry = entry_of(self.signal)
        return entry is not None and entry.sent_by == "models"

    def receives_from(self, model: Any) -> bool:
        """Return whether a send by a model, or by the model between two sides of its relation, is for the receiver."""
        sender = self.connection.sender
        if sender is None:
            return self.is_of_models
        if self.connection.is_of_subclasses and isinstance(sender, type) and issubclass(model, sender):
            return True
        return sender is model or getattr(getattr(sender, "_meta", None), "auto_created", None) is model


def connected_receivers() -> list[ConnectedReceiver]:
    """Return the receivers of all signals: by the names of the signals, and then in the order of their calls."""
    return [one for signal in live_signals() for one in receivers_of(signal)]


def receivers_of(signal: Any) -> Iterator[ConnectedReceiver]:
    """Yield the receivers of a signal in the order of their calls, without those that were garbage collected."""
    for connection in connections_of(signal):
        receiver = connection.receiver()
        if receiver is not None:
            yield ConnectedReceiver(signal, connection, receiver)


def where(receiver: Any) -> str:
    """Return the file and line of a receiver, or of the declaration that connected it, such as a recipe."""
    declared = (one.where for one in connected_receivers() if one.receiver is receiver and one.declared is not None)
    return next(declared, None) or file_and_line(receiver)


# --- names --------------------------------------------------------------------------------------------------------

_DECLARED = re.compile(r"heliograph\.[\w.]*?(\w+\(.*)")


def declared_name(name: str) -> str:
    """Return the name of a receiver; of a recipe's, the declaration: "keep(shop.Order.total)"."""
    found = _DECLARED.fullmatch(name)
    return found[1] if found else name


_OF_LIBRARIES = ("django.", "heliograph.")


def short_signal(name: str) -> str:
    """Return the name of a signal, without its module if the signal is one of Django or of Heliograph."""
    return name.rpartition(".")[2] if name.startswith(_OF_LIBRARIES) else name


def is_of_library(name: str) -> bool:
    """Return whether a receiver is part of Django or Heliograph itself, whose receivers are others in each release."""
    return name.removeprefix("partial(").startswith(_OF_LIBRARIES)


ANY_SENDER = "any sender"

# --- texts --------------------------------------------------------------------------------------------------------


def sender_of(connection: Connection) -> str:
    """Return the sender of a connection: a label, a name, or the text of a value."""
    sender = connection.sender
    if sender is None:
        return ANY_SENDER
    label = getattr(getattr(sender, "_meta", None), "label", None)
    name = label or (f"{sender.__module__}.{sender.__qualname__}" if isinstance(sender, type) else stable(repr(sender)))
    return f"{name} and subclasses" if connection.is_of_subclasses else name


def options_of(connection: Connection, receiver: Any) -> Iterator[tuple[str, str | None]]:
    """Yield the options of a receiver that differ from Django's, with their values as text."""
    written, asked = connection.options.written(), connection.options.find(AsksFor)
    if connection.order:
        yield "order", str(connection.order)
    if is_async(receiver):
        yield "async", None
    yield from ((name, repr(written[name])) for name in ("bulk", "using", "when", "delivery") if name in written)
    if asked is not None and asked.changes:
        yield "changes", None
    yield from ((name, repr(written[name])) for name in ("fetch", "writes", "keeps") if name in written)
    if "reentrant" in written:
        yield "reentrant", connection.options.reentrant
    if "blocking" in written:
        yield "non-blocking", None


_ADDRESS = re.compile(r" at 0x[0-9A-Fa-f]+")


def stable(text: str) -> str:
    """Return the text of a value without the addresses of objects, and with the members of sets in order."""
    text = _ADDRESS.sub("", text)
    if "{" not in text:
        return text
    try:
        tree = ast.parse(text, mode="eval")
    except SyntaxError:
        return text
    return ast.unparse(_SortedSets().visit(tree)) if any(isinstance(one, ast.Set) for one in ast.walk(tree)) else text


class _SortedSets(ast.NodeTransformer):
    """Brings the members of each set into the order of their texts."""

    def visit_Set(self, node: ast.Set) -> ast.AST:
        self.generic_visit(node)
        node.elts.sort(key=ast.unparse)
        return node
