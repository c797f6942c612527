"""Django's signals as type checkers see them where Heliograph runs them: connect() takes the options of a receiver."""

from collections.abc import Callable, Hashable
from typing import Any, Unpack

from django.apps.registry import Apps
from django.db.models.signals import ModelSignal as DjangoModelSignal
from django.dispatch import Signal as DjangoSignal

from heliograph.dispatch.registration import ConnectOptions
from heliograph.receivers.decorator import ModelOptions

Senders = type[Any] | str | list[Any] | tuple[Any, ...] | None

class Signal(DjangoSignal):
    def connect(
        self,
        receiver: Callable[..., Any],
        sender: object | None = None,
        weak: bool = True,
        dispatch_uid: Hashable | None = None,
        **options: Unpack[ConnectOptions],
    ) -> None: ...

# The ignores: Django's own methods take one sender, and these take several, as the adopted ones do.
class ModelSignal(DjangoModelSignal):
    def connect(  # type: ignore[override]
        self,
        receiver: Callable[..., Any],
        sender: Senders = None,
        weak: bool = True,
        dispatch_uid: Hashable | None = None,
        apps: Apps | None = None,
        **options: Unpack[ModelOptions],
    ) -> None: ...
    def disconnect(  # type: ignore[override]
        self,
        receiver: Callable[..., Any] | None = None,
        sender: Senders = None,
        dispatch_uid: Hashable | None = None,
        apps: Apps | None = None,
        *,
        subclasses: bool = False,
    ) -> bool: ...
