"""The groups of users, which the code names, and who may do what."""

from collections.abc import Callable
from typing import Any

from django.contrib.auth.decorators import login_required, user_passes_test
from django.contrib.auth.models import AbstractUser, AnonymousUser

SHOPKEEPERS, TEACHERS, MODERATORS = "Shopkeepers", "Teachers", "Moderators"
ROLES = (SHOPKEEPERS, TEACHERS, MODERATORS)


def is_in(user: AbstractUser | AnonymousUser, role: str) -> bool:
    """Return whether a user is in the group; a visitor who has not signed in is in none."""
    return user.is_authenticated and user.groups.filter(name=role).exists()


def only(role: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Let a view answer only users in the group; others are asked to sign in."""

    def decorate(view: Callable[..., Any]) -> Callable[..., Any]:
        return login_required(user_passes_test(lambda user: is_in(user, role))(view))

    return decorate
