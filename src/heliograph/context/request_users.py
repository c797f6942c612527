"""The actor of a request: its user, without a query for it, who may change by login() and logout()."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.core.exceptions import SynchronousOnlyOperation
from django.db import DatabaseError
from django.db.models import Model

from heliograph.context.actors import LABEL_LENGTH, Actor, UserActor, actor_of, is_loaded, key_of_actor
from heliograph.context.kept_context import Context


class RequestUser:
    """The user that a request has when somebody asks; a call that is kept for later keeps the user of its send."""

    __slots__ = ("_last", "_request")

    def __init__(self, request: Any) -> None:
        self._request = request
        # The last context that was pinned, its user, its actor, and the resulting context. Most sends of a request have
        # the same user, so they share one context, and a batch of them compares nothing.
        self._last: tuple[Context, Any, UserActor | None, Context] | None = None

    def pinned(self, context: Context) -> Context:
        """Return a context whose actor is the user whom the request has now."""
        user, last = getattr(self._request, "user", None), self._last
        if last is not None and last[1] is user:
            if last[0] is context:
                return last[3]
            by = last[2]
        else:
            by = None if user is None else _UserOfRequest(user, self._request)
        pinned = replace(context, by=by, is_open=False)
        self._last = context, user, by, pinned
        return pinned

    def release(self) -> None:
        """Forget the pinned context at the end of the request, since it would keep the request in memory for longer."""
        self._last = None


class _UserOfRequest(UserActor):
    """The user of a request: an object that is loaded already is asked at once, since it may be deleted."""

    __slots__ = ("_request",)

    def __init__(self, user: Any, request: Any) -> None:
        super().__init__(user)
        self._request = request
        if is_loaded(user):
            self.actor()

    def actor(self) -> Actor | None:
        """Return the actor; where no query is possible, the actor whom the session names, if the session is loaded.

        No query is possible in async code, and in a transaction that an error has broken.
        """
        try:
            return super().actor()
        except (DatabaseError, SynchronousOnlyOperation):
            return _actor_of_session(self._request)

    def _made(self) -> Actor | None:
        user = self._user
        if not is_loaded(user):
            user = getattr(self._request, "_acached_user", user)  # as `await request.auser()` has left it
        return _actor_of_user(user) or _actor_of_deleted(user, self._request)


def _actor_of_user(user: Any) -> Actor | None:
    """Return the actor that a user is; None for one who is not logged in, or has been deleted."""
    if not getattr(user, "is_authenticated", True):
        return None
    key = getattr(user, "pk", None)
    if key is None:
        return None
    if isinstance(user, Model):
        return actor_of(user)
    return Actor(settings.AUTH_USER_MODEL, key_of_actor(key), str(user)[:LABEL_LENGTH])  # such as a token describes


def _actor_of_deleted(user: Any, request: Any) -> Actor | None:
    return _actor_of_session(request) if getattr(user, "is_authenticated", False) else None


def _actor_of_session(request: Any) -> Actor | None:
    """Return the actor whose key is in the session of a request, without a query; None if there is none."""
    loaded = getattr(getattr(request, "session", None), "_session_cache", None) or {}
    key = loaded.get(SESSION_KEY)
    return None if key is None else Actor(settings.AUTH_USER_MODEL, str(key))
