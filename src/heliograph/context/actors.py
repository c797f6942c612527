"""Actors: who does something, as a small value, and as a user object that becomes this value when somebody asks."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Model
from django.utils.functional import LazyObject, empty

# A label of an actor is not longer than this, in characters.
LABEL_LENGTH = 200


@dataclass(frozen=True, slots=True)
class Actor:
    """The user, or something that is no user, who does something. Frozen.

    - `model`: the label of the model of users, such as "auth.User"; "" for an actor that is no user.
    - `key`: the primary key as text; for an actor that is no user, its label.
    - `label`: the name of the user at that time; "" if nobody has loaded the user.

    Actors with the same model and key are equal.
    """

    model: str  # such as "auth.User"; "" for an actor that is no user
    key: str  # the primary key as text; for an actor that is no user, its label
    label: str = field(default="", compare=False)  # how the user was called then; "" if nobody has loaded it

    def __str__(self) -> str:
        return self.label or f"{self.model} {self.key}"


class UserActor:
    """The actor that a user object stands for; a lazy one is not loaded before somebody asks for the actor."""

    __slots__ = ("_actor", "_is_known", "_user")

    def __init__(self, user: Any) -> None:
        self._user = user
        self._actor: Actor | None = None
        self._is_known = False

    def actor(self) -> Actor | None:
        """Return the actor; None for a user who is not logged in."""
        if not self._is_known:
            self._actor = self._made()
            self._is_known = True
        return self._actor

    def _made(self) -> Actor | None:
        return actor_of(self._user)

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if isinstance(other, UserActor):
            return self._user is other._user or self.actor() == other.actor()
        return self.actor() == other

    def __hash__(self) -> int:
        return hash(self.actor())

    def __repr__(self) -> str:
        return repr(self.actor()) if self._is_known else "<an actor that is not loaded>"


def actor_of(user: Any) -> Actor | None:
    """Return the actor that a user is; None for None and for a user who is not logged in.

    Raises TypeError for an object that is no user, and ValueError for a user without a primary key.
    """
    if user is None or isinstance(user, Actor):
        return user
    if isinstance(user, str):
        return Actor("", user[:LABEL_LENGTH], user[:LABEL_LENGTH])
    if not getattr(user, "is_authenticated", True):  # AnonymousUser, which is no model
        return None
    if not isinstance(user, Model):
        raise _no_user(user)
    if user.pk is None:
        raise ValueError(f"acting() takes a user that is saved, and {user!r} has no primary key yet.")
    return Actor(user._meta.label, key_of_actor(user.pk), str(user)[:LABEL_LENGTH])


def key_of_actor(key: Hashable) -> str:
    """Return a primary key as text, also one of several columns."""
    return ",".join(map(str, key)) if isinstance(key, tuple) else str(key)


def acting_as(user: Any) -> Actor | UserActor | None:
    """Return the actor for an argument of `acting()`: a user that is lazy stays so."""
    if issubclass(type(user), LazyObject):  # isinstance() with another class would load it
        return UserActor(user)
    return user if isinstance(user, UserActor) else actor_of(user)


def is_loaded(user: Any) -> bool:
    """Return whether it takes no query to look at a user object, which may be lazy."""
    return not issubclass(type(user), LazyObject) or user.__dict__.get("_wrapped") is not empty


def _no_user(user: object) -> TypeError:
    return TypeError(
        f"acting() takes a user, None for nobody, or a text such as 'cron' for something that is no user, not {user!r}."
    )
