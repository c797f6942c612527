"""The class Signal: receivers connect to it, and are called with what is sent."""

from __future__ import annotations

import inspect
import threading
import weakref
from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Generic, ParamSpec, Unpack

from heliograph.dispatch import django_shape, names
from heliograph.dispatch.concurrency import Concurrency, InTurn
from heliograph.dispatch.condition_base import Condition
from heliograph.dispatch.connecting import Connector, forget_cache
from heliograph.dispatch.fast_send import can_be_written, declared_payload, declared_send, learned_send
from heliograph.dispatch.identity import Receiver
from heliograph.dispatch.option_errors import NoOptions
from heliograph.dispatch.options import Fact
from heliograph.dispatch.policies import Call, DeliveryPolicy
from heliograph.dispatch.routes import Table, registering
from heliograph.dispatch.scopes import audible, current
from heliograph.dispatch.sends import Pair, Send, deliver, deliver_async

P = ParamSpec("P")
Contract = ParamSpec("Contract")  # of `define`: in pyright, a class method loses the ParamSpec of its class


class _LazyTable:
    """The descriptor that gives a signal its table when it is first used, also a signal from before adoption."""

    def __get__(self, signal: Any, owner: type) -> Table:
        if signal is None:
            return self  # type: ignore[return-value]
        with registering:
            if "_table" not in signal.__dict__:
                table = Table()
                django_shape.put(table, signal.__dict__.pop("receivers", ()))
                signal.__dict__["receivers"] = django_shape.Attached()
                signal.__dict__["_table"] = table  # filled: others may look at it from now on
                names.register(signal)
        return signal.__dict__["_table"]  # type: ignore[no-any-return]


class Signal(Generic[P]):
    """A signal: receivers connect to it, and are called with the values that are sent.

    `connect()`, `disconnect()`, `has_listeners()` and the four sends behave as Django's do, to the letter; everything
    beyond is a keyword argument that Django does not have. `name` is for people; without it, the signal is called after
    the variable that holds it. `use_caching` is Django's, and changes nothing: routes are always kept.
    """

    # Django 5.2 has no reference to the sender in a row of `receivers`.
    _rows_have_senders: ClassVar[bool] = True
    _concurrency: ClassVar[Concurrency] = InTurn()
    _connector: ClassVar[Connector] = Connector()
    _table = _LazyTable()

    # Of a declared signal: it refuses other sends, and receivers that ask for other names.
    _contract: inspect.Signature | None = None
    _carries: Sequence[str] | None = None  # the names of the contract beside `sender`
    _payload: Callable[..., dict[str, Any]] | None = None
    # Whether @receiver keeps receivers from being called again for the instance that they are handling.
    _guards_instance: bool = False

    def __init__(self: Signal[...], use_caching: bool = False, *, name: str | None = None) -> None:
        self.use_caching = use_caching  # Django's; routes are always kept, and this changes nothing
        self.lock = threading.Lock()  # for other packages, as the next two lines
        self.sender_receivers_cache: Any = weakref.WeakKeyDictionary() if use_caching else {}
        self._dead_receivers = False
        names.register(self)
        if name is not None:
            self._name = name

    @classmethod
    def define(cls, contract: Callable[Contract, None]) -> Signal[Contract]:
        """Return a signal that sends exactly the parameters that a function has beside `sender`; this is a decorator.

            @Signal.define
            def order_shipped(sender, *, order: Order, carrier: str) -> None:
                "An order has left the house."

        A send with a wrong or missing name raises TypeError before any receiver runs, and so does connecting a receiver
        that asks for a name which is not sent. Raises TypeError for a function that no send could call.
        """
        signature = inspect.signature(contract)
        _verify_contract(contract, signature)
        signal: Any = cls(name=f"{contract.__module__}.{contract.__qualname__}")
        signal._contract = signature
        signal._carries = tuple(signature.parameters)[1:]
        signal._payload = declared_payload(signature, contract.__qualname__)
        signal._guards_instance = cls._guards_instance or "instance" in signature.parameters
        signal.__doc__ = contract.__doc__
        if cls.send is OURS[0]:
            signal.__dict__["send"] = declared_send(signal, OURS, signature, contract.__qualname__)
        return signal  # type: ignore[no-any-return]

    # --- connecting -------------------------------------------------------------------------------------------

    def connect(
        self,
        receiver: Receiver,
        sender: Any = None,
        weak: bool = True,
        dispatch_uid: Hashable | None = None,
        *,
        order: int = 0,
        subclasses: bool = False,
        when: Condition | Callable[..., object] | None = None,
        delivery: DeliveryPolicy | None = None,
        reentrant: str = "allow",
        blocking: bool = True,
        call: Callable[..., Call] = Call,
        facts: tuple[Fact, ...] = (),
        **unknown: Unpack[NoOptions],
    ) -> None:
        """Connect a receiver to one sender, to several (a list), or to every sender (None).

        `receiver`, `sender`, `weak` and `dispatch_uid` are Django's. The other options:

        - `order`: receivers with a lower number are called first; with the same number, the receiver that was connected
          first.
        - `subclasses`: with `True`, the subclasses of a sender that is a class are senders too.
        - `when`: a `Condition`, or a function of the payload, that is asked before each call.
        - `delivery`: a `DeliveryPolicy`, which says when the call is made; None for now, as `Inline` does.
        - `reentrant`: what happens when a receiver is sent the instance that it is handling: "allow" calls it, "skip"
          does not, and "raise" raises `ReentrancyError`.
        - `blocking`: with `False`, an async send may call a sync receiver in the event loop, because it does not block.
        - `call`, for libraries: a function that returns the `Call` for the policy, from the receiver and the payload.
          Its attribute `gives` has the names that it adds to the payload.
        - `facts`, for libraries: `Fact` values, which live as long as the connection.

        The signals of models also take `apps`, a registry of apps in which senders such as "shop.Order" are looked up.

        Raises TypeError or ValueError, which say what to do, for a receiver or an option that cannot work, and Django's
        FieldDoesNotExist for a condition on a field that the sender does not have. Then the receiver is connected to
        none of the senders.
        """
        given = {"order": order, "subclasses": subclasses, "when": when, "delivery": delivery, **unknown}
        given |= {"reentrant": reentrant, "blocking": blocking, "call": call, "facts": facts}
        self._connector.connect(self, receiver, sender, weak, dispatch_uid, given)

    def disconnect(
        self,
        receiver: Receiver | None = None,
        sender: Any = None,
        dispatch_uid: Hashable | None = None,
        *,
        subclasses: bool = False,
        **unknown: Unpack[NoOptions],
    ) -> bool:
        """Disconnect a receiver, by itself or by its `dispatch_uid`, and return whether it was connected.

        `sender` and `subclasses` are those with which it was connected.
        """
        given = {"subclasses": subclasses, **unknown}
        return self._connector.disconnect(self, receiver, sender, dispatch_uid, given)

    # --- sending ----------------------------------------------------------------------------------------------

    if TYPE_CHECKING:  # the names that the contract declares

        def send(self, /, *args: P.args, **kwargs: P.kwargs) -> list[Pair]: ...

        def send_robust(self, /, *args: P.args, **kwargs: P.kwargs) -> list[Pair]: ...

        async def asend(self, /, *args: P.args, **kwargs: P.kwargs) -> list[Pair]: ...

        async def asend_robust(self, /, *args: P.args, **kwargs: P.kwargs) -> list[Pair]: ...

    else:

        def send(self, /, sender, **named):
            """Call every receiver, and return a list of pairs of a receiver and its response.

            The first exception ends the send and is raised. Async receivers run after the sync ones, in an event loop.
            A declared signal raises TypeError for names that its contract does not have, as the three sends below do
            too.
            """
            if "send" not in self.__dict__ and type(self).send is OURS[0]:
                _learn(self, named)
            return deliver(Send(self, sender, _checked(self, sender, named), robust=False))

        def send_robust(self, /, sender, **named):
            """Call every receiver as `Signal.send` does; an exception is logged, and is the response of its receiver.

            The logger is "django.dispatch".
            """
            return deliver(Send(self, sender, _checked(self, sender, named), robust=True))

        async def asend(self, /, sender, **named):
            """Send from async code, and return the pairs that `Signal.send` returns.

            Sync receivers run in a thread, and async receivers beside each other. The first exception is raised.
            """
            return await deliver_async(Send(self, sender, _checked(self, sender, named), robust=False))

        async def asend_robust(self, /, sender, **named):
            """Send from async code; an exception is logged, and is the response of its receiver.

            The logger is "django.dispatch".
            """
            return await deliver_async(Send(self, sender, _checked(self, sender, named), robust=True))

    def has_listeners(self, sender: Any = None) -> bool:
        """Return whether a receiver that is not muted, or an open `capture()`, would receive a send of this sender."""
        sync, concurrent = self._live_receivers(sender)
        return bool(sync or concurrent) or any(scope.listens(self, sender) for scope in current())

    def _live_receivers(self, sender: Any) -> tuple[list[Receiver], list[Receiver]]:
        """Return the receivers of a send, in order: the sync ones and the async ones.

        This is the only place that decides it, and the one which monitoring tools replace to wrap receivers.
        """
        route = self._table.route(sender)
        sync = [receiver for resolve in route.sync if (receiver := resolve()) is not None]
        concurrent = [receiver for resolve in route.concurrent if (receiver := resolve()) is not None]
        scopes = current()
        if scopes:
            return audible(self, sender, sync, scopes), audible(self, sender, concurrent, scopes)
        return sync, concurrent

    def _attended(self, sender: Any) -> object:
        """Return an object that an open capture holds, so that a signal is sent although nobody is connected.

        Signals of bulk writes override this.
        """
        return None

    # --- names and copies -------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The name that the signal was given, or else the module and the variable that hold it; it can be set."""
        # "name" is what a signal of another package had called itself before it was adopted.
        name = self.__dict__.get("_name") or self.__dict__.get("name") or names.found_name(self)
        if name is not None:
            self.__dict__["_name"] = name
        return name or "unnamed signal"

    @name.setter
    def name(self, name: str) -> None:
        self.__dict__["_name"] = name  # signals of other packages set names of their own

    def __set_name__(self, owner: type, name: str) -> None:
        self.__dict__.setdefault("_name", f"{owner.__module__}.{owner.__qualname__}.{name}")

    def __repr__(self) -> str:
        return f"<Signal {self.name}>"

    def __copy__(self) -> Signal[P]:
        return self  # as with functions and classes: a copy without the receivers would be of no use

    def __deepcopy__(self, memo: dict[int, Any]) -> Signal[P]:
        return self

    def __reduce__(self) -> Any:
        if names.resolved(self.name) is not self:
            raise TypeError(f"{self!r} cannot be pickled: it is not a variable of a module under its name.")
        return names.resolved, (self.name,)

    # --- what other packages lean on --------------------------------------------------------------------------

    @property
    def receivers(self) -> django_shape.ReceiverList:
        """The connections in the shape of Django's list, for other packages; to change the list changes them."""
        return django_shape.rows(self)

    @receivers.setter
    def receivers(self, rows: Any) -> None:
        django_shape.assign(self, rows)
        forget_cache(self)

    def _clear_dead_receivers(self) -> None:
        """Do nothing: the connection of a dead receiver leaves by itself."""

    def _flag_dead_receivers(self, reference: object = None) -> None:
        """Do nothing: the connection of a dead receiver leaves by itself."""


# The two methods of this class, to be compared with what tools and mocks put into the class later.
OURS = (Signal.send, Signal._live_receivers)
# Functions and not methods: subclasses of other packages have private methods of any name.


def _learn(signal: Signal[...], named: dict[str, Any]) -> None:
    """Generate a send for the names of the first send: most signals always send the same names."""
    send = learned_send(signal, OURS, named)
    if send is not None:
        signal.__dict__["send"] = send


def _checked(signal: Signal[...], sender: Any, named: dict[str, Any]) -> dict[str, Any]:
    """Return the payload with the contract's defaults; TypeError if it breaks the contract."""
    return named if signal._payload is None else signal._payload(sender, **named)


def _verify_contract(contract: Any, signature: inspect.Signature) -> None:
    """Raise TypeError for a function that cannot be a signal's contract."""
    parameters = list(signature.parameters.values())
    where = f"{contract.__module__}.{contract.__qualname__}"
    if not parameters or parameters[0].name != "sender":
        raise TypeError(f"@Signal.define: the first parameter of {where} must be 'sender'.")
    for parameter in parameters[1:]:
        if parameter.kind is not parameter.KEYWORD_ONLY:
            raise TypeError(f"@Signal.define: {parameter.name!r} of {where} must be keyword-only: put it behind '*'.")
        if not can_be_written(parameter.name):
            raise TypeError(f"@Signal.define: {where} cannot send {parameter.name!r}: choose another name.")
