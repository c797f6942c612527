"""The AsyncAPI 3.0 document of declared signals."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator, Mapping
from typing import Any, get_type_hints

from heliograph.dispatch import live_signals
from heliograph.flow.asyncapi.json_schema import ANYTHING, Schema, schema_of
from heliograph.flow.connected_receivers import receivers_of
from heliograph.outbox.payload.errors import UnstorableError
from heliograph.outbox.payload.value_encoding import encoded
from heliograph.sensitive_names import sensitive_among

ASYNCAPI = "3.0.0"


def document_of(title: str, version: str) -> dict[str, Any]:
    """Return the document of all signals that were declared by `Signal.define`, but for the signals of Heliograph."""
    signals = {str(signal.name): signal for signal in live_signals() if _is_declared(signal)}
    return {
        "asyncapi": ASYNCAPI,
        "info": {"title": title, "version": version},
        "defaultContentType": "application/json",
        "channels": {name: _channel(name) for name in signals},
        "operations": dict(operation for name, signal in signals.items() for operation in _operations(name, signal)),
        "components": {"messages": {name: _message(name, signal) for name, signal in signals.items()}},
    }


def _is_declared(signal: Any) -> bool:
    return getattr(signal, "_contract", None) is not None and not str(signal.name).startswith("heliograph.")


def _channel(name: str) -> dict[str, Any]:
    return {"address": name, "messages": {name: {"$ref": f"#/components/messages/{name}"}}}


def _operations(name: str, signal: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the operations of a signal by their names: it is sent, and maybe received."""
    of_channel = {
        "channel": {"$ref": f"#/channels/{name}"},
        "messages": [{"$ref": f"#/channels/{name}/messages/{name}"}],
    }
    yield f"send.{name}", {"action": "send", **of_channel}
    receivers = [*dict.fromkeys(one.name for one in receivers_of(signal))]
    if receivers:
        yield f"receive.{name}", {"action": "receive", "summary": f"Received by {', '.join(receivers)}.", **of_channel}


def _message(name: str, signal: Any) -> dict[str, Any]:
    message = {"name": name, "title": name.rpartition(".")[2], "payload": _payload(name, signal)}
    return {**message, "description": inspect.cleandoc(signal.__doc__)} if signal.__doc__ else message


def _payload(name: str, signal: Any) -> Schema:
    """Return the schema of what a send stores: all names of the contract but those that are never stored."""
    parameters = [*signal._contract.parameters.values()][1:]
    secret = sensitive_among([one.name for one in parameters])
    properties = {one.name: _property(name, one) for one in parameters if one.name not in secret}
    return {"type": "object", "properties": properties, "required": [*properties]}


def _property(signal: str, parameter: inspect.Parameter) -> Schema:
    schema = _of_annotation(signal, parameter.annotation)
    if parameter.default is parameter.empty:
        return schema
    try:
        return {**schema, "default": encoded(parameter.default)}
    except UnstorableError:
        return schema


def _of_annotation(signal: str, annotation: Any) -> Schema:
    """Return the schema of an annotation; the text of a name that only type checkers import, or of a type in itself."""
    if annotation is inspect.Parameter.empty:
        return ANYTHING
    try:
        return schema_of(_evaluated(annotation, _namespace(signal)))
    except (NameError, RecursionError):
        return {"description": str(annotation)}


def _namespace(signal: str) -> Mapping[str, Any]:
    """Return the names of the module in which a signal was declared, also of one in the body of a class."""
    module = signal.rpartition(".")[0]
    while module and module not in sys.modules:
        module = module.rpartition(".")[0]
    return vars(sys.modules[module]) if module else {}


def _evaluated(annotation: Any, names: Mapping[str, Any]) -> Any:
    def annotated() -> None:
        """Have the annotation, for Python to evaluate."""

    annotated.__annotations__ = {"value": annotation}
    return get_type_hints(annotated, {**names}, include_extras=True)["value"]
