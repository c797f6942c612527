"""Visitors who register, and users who change what is known of them."""

from random import Random

from django.contrib.auth.models import Group, User

from onboarding.models import Preferences, Profile
from onboarding.roles import ROLES

NAMES = ["ada", "ben", "clara", "dev", "elif", "femi", "gita", "hugo", "ines", "jun", "kofi", "lena"]


def open_it(random: Random) -> None:
    """Let the first users register, all by one statement."""
    users = [User(username=name, email=f"{name}@Example.com", password="!") for name in NAMES]
    User.objects.bulk_create(users)


def person(random: Random) -> User:
    """Return some user who has registered."""
    return random.choice(User.objects.exclude(email="").order_by("pk"))


def register(random: Random) -> None:
    """A visitor registers, and joins a group."""
    name = f"visitor{random.randrange(1000)}"
    user = User.objects.create_user(name, f"{name}@example.com")
    user.groups.add(Group.objects.get(name=random.choice(ROLES)))


def describe(random: Random) -> None:
    """A user writes something about themselves."""
    profile = Profile.objects.get(user=person(random))
    profile.about = f"I like {random.choice(['tea', 'rivers', 'old maps'])}."
    profile.save()


def subscribe(random: Random) -> None:
    """A user wants the newsletter, or no longer."""
    Preferences.objects.filter(user=person(random)).update(newsletter=random.random() < 0.5)


ACTIONS = (register, describe, subscribe)
