"""Generated sends: a `send` with the signal's keyword names written out.

Packing a payload into **named and unpacking it again for each receiver is most of what a send costs. As dataclasses
do with `__init__`, this module writes the source of a function for the names at hand, and compiles it once.
"""

from __future__ import annotations

import functools
import inspect
import keyword
import sys
from collections.abc import Callable, Iterable
from types import FunctionType, MethodType
from typing import Any

from heliograph.dispatch.any_signal import AnySignal
from heliograph.dispatch.guarded import SKIPPED, receiver_of
from heliograph.dispatch.scopes import watch

# The `send` and the `_live_receivers` that this function may stand for.
Ours = tuple[Callable[..., Any], Callable[..., Any]]

_FILENAME = "<generated send>"
ABSENT: Any = type("ABSENT", (), {"__repr__": lambda self: "<absent>"})()

# Names with an underscore are the function's own; a payload that has such names is not written out. The generated
# function steps aside, for the send of the class, wherever a plain call of each receiver is not the whole truth:
# somebody watches; a receiver is async (neither `refs` nor `guarded`); other names are sent; or the class was patched,
# as monitoring tools and mocks do. It calls receivers from its own frame, as Django does: warnings count on that.
_TEMPLATE = """
def make(_signal, _table, _watch, _class, _send, _live, _absent, _id, _len, _unknown{cells}):
    _buckets = _table.buckets
    def send(sender{parameters}):
        if not _watch and _class.send is _send:
            if _table.silent:
                return []
            try:
                _route = _buckets[_id(sender)].route
            except _unknown:  # a sender without a bucket: mostly an instance, since classes are given one
                _route = _table.default.route
            if _route.epoch is not _table.epoch or _len(_route.alive) != _route.size:
                _route = _table.route(sender)
            _refs = _route.refs
            if _refs is not None:
                if not _refs:
                    return []
                if _class._live_receivers is _live{usual}:{calls}
            elif _route.guarded is not None and _class._live_receivers is _live{usual}:
                _responses = []
                for _receiver in [_ref() for _ref in _route.guarded]:
                    if _receiver is not None:
                        _response = _receiver(signal=_signal, sender=sender{keywords})
                        if _response is not _skipped:
                            _responses.append((_receiver_of(_receiver), _response))
                return _responses
        return _of_class(_signal)(sender=sender{slow})
    return send
"""


# The receivers are held before the first one is called, which may drop the last reference to another. Receivers
# of a steady route do not die like that. A comprehension is a little faster than a loop, but before Python 3.12 it had
# a frame of its own.
_CALLS = """
                    if _route.steady:
                        return [
                            (_receiver, _receiver(signal=_signal, sender=sender{keywords}))
                            for _ref in _refs if (_receiver := _ref()) is not None
                        ]
                    _receivers = [_ref() for _ref in _refs]
                    return [
                        (_receiver, _receiver(signal=_signal, sender=sender{keywords}))
                        for _receiver in _receivers if _receiver is not None
                    ]"""
_CALLS_BEFORE_3_12 = """
                    _responses = []
                    for _receiver in [_ref() for _ref in _refs]:
                        if _receiver is not None:
                            _responses.append((_receiver, _receiver(signal=_signal, sender=sender{keywords})))
                    return _responses"""


def declared_send(signal: AnySignal, ours: Ours, contract: inspect.Signature, name: str) -> Callable[..., Any]:
    """Return a send with exactly the parameters of a contract; Python's own TypeError refuses others."""
    defaults = _defaults(contract)
    names = list(contract.parameters)[1:]
    send = _bound(
        signal,
        ours,
        parameters=_parameters(names, defaults),
        cells="".join(f", _default_{n}" for n in defaults),
        usual="",
        slow=_keywords(names),
        keywords=_keywords(names),
        values={f"_default_{n}": value for n, value in defaults.items()},
    )
    send.__qualname__ = f"{name}.send"
    return send


def declared_payload(contract: inspect.Signature, name: str) -> Callable[..., dict[str, Any]]:
    """Return a function that takes what a declared send takes, and returns the payload with the defaults in it."""
    defaults = _defaults(contract)
    names = list(contract.parameters)[1:]
    source = (
        f"def make({', '.join(f'_default_{n}' for n in defaults)}):\n"
        f" def send(sender{_parameters(names, defaults)}): return dict({_keywords(names)[2:]})\n"
        " return send"
    )
    send = _compiled(source)(**{f"_default_{n}": value for n, value in defaults.items()})
    send.__qualname__ = f"{name}.send"
    return send


def _defaults(contract: inspect.Signature) -> dict[str, Any]:
    return {p.name: p.default for p in contract.parameters.values() if p.default is not p.empty}


def _parameters(names: list[str], defaults: Iterable[str]) -> str:
    parameters = "".join(f", {n}=_default_{n}" if n in defaults else f", {n}" for n in names)
    return ", *" + parameters if names else ""


def learned_send(signal: AnySignal, ours: Ours, names: Iterable[str]) -> Callable[..., Any] | None:
    """Return a send that is fast for these names and takes all others too; None if they cannot be written out."""
    names = list(names)
    if not all(can_be_written(name) for name in names):
        return None
    return _bound(
        signal,
        ours,
        parameters=(", *" if names else "") + "".join(f", {n}=_absent" for n in names) + ", **_others",
        cells="",
        usual=" and not _others" + "".join(f" and {n} is not _absent" for n in names),
        slow=f", **_given({_keywords(names)[2:]}), **_others",
        keywords=_keywords(names),
        values={},
    )


def can_be_written(name: str) -> bool:
    """Return whether a name can be a parameter of a generated send."""
    return (
        name.isascii()
        and name.isidentifier()
        and not keyword.iskeyword(name)
        and name[0] != "_"
        and name not in ("sender", "signal")
    )


def is_generated(send: Any) -> bool:
    """Return whether a send was made here."""
    return isinstance(send, FunctionType) and send.__code__.co_filename == _FILENAME


def _keywords(names: Iterable[str]) -> str:
    return "".join(f", {name}={name}" for name in names)


def _given(**payload: Any) -> dict[str, Any]:
    """Return the names that were really sent."""
    return {name: value for name, value in payload.items() if value is not ABSENT}


def _of_class(signal: AnySignal) -> Callable[..., Any]:
    """Return the send of the signal's class, bound as an attribute would be; a mock there has nothing to bind."""
    send = type(signal).send
    return MethodType(send, signal) if isinstance(send, FunctionType) else send


@functools.lru_cache(maxsize=1024)
def _compiled(source: str) -> Callable[..., Callable[..., Any]]:
    namespace: dict[str, Any] = {
        "_given": _given,
        "_of_class": _of_class,
        "_receiver_of": receiver_of,
        "_skipped": SKIPPED,
        "__name__": __name__,
    }
    exec(compile(source, _FILENAME, "exec"), namespace)  # the names in it are checked identifiers
    return namespace["make"]  # type: ignore[no-any-return]


def _bound(signal: AnySignal, ours: Ours, *, values: dict[str, Any], **parts: str) -> Callable[..., Any]:
    calls = (_CALLS if sys.version_info >= (3, 12) else _CALLS_BEFORE_3_12).format(keywords=parts["keywords"])
    make = _compiled(_TEMPLATE.format(calls=calls, **parts))
    return make(signal, signal._table, watch, type(signal), *ours, ABSENT, id, len, KeyError, **values)
