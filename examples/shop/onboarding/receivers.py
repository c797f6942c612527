"""The receivers and recipes of onboarding: profiles, preferences, the welcome mail, the activity log."""

from collections.abc import Mapping
from typing import Any

from django.contrib.auth.models import Group, User
from django.contrib.auth.signals import user_logged_in
from heliograph import Change, changed, created, raw, receiver
from heliograph.audit import audit
from heliograph.recipes import ensure_related, mail, normalize, seed
from heliograph.signals import m2m_changes, post_save

from onboarding.models import Activity, Preferences, Profile
from onboarding.roles import ROLES

KEPT = [
    ensure_related(Profile, to="user", defaults=lambda user: {"name": user.get_full_name() or user.username}),
    ensure_related(Preferences, to="user"),
    normalize(User, email=[str.strip, str.lower]),
    seed(Group, [{"name": name} for name in ROLES]),
    mail(User, when=created, to="email", template="onboarding/welcome"),
    audit(Profile),
    audit(Preferences),
]


@receiver(post_save, sender=User, when=created & ~raw, bulk=True)
def log_registration(sender: type[User], instance: User, **kwargs: Any) -> None:
    """Log that a user has registered."""
    Activity.objects.create(user=instance, text="registered")


@receiver(user_logged_in)
def log_sign_in(sender: type[User], user: User, **kwargs: Any) -> None:
    """Log that a user has signed in."""
    Activity.objects.create(user=user, text="signed in")


@receiver(post_save, sender=Profile, when=changed("name", "about") & ~created, bulk=True)
def log_profile(sender: type[Profile], instance: Profile, changes: Mapping[str, Change], **kwargs: Any) -> None:
    """Log which fields of a profile have another value."""
    Activity.objects.create(user_id=instance.user_id, text=f"changed {' and '.join(changes)}")


@receiver(m2m_changes, sender=User.groups.through)
def log_roles(sender: type, added: frozenset[tuple[int, int]], **kwargs: Any) -> None:
    """Log the groups that users have joined, all of a statement at once."""
    names = dict(Group.objects.values_list("pk", "name"))
    Activity.objects.bulk_create(
        Activity(user_id=user, text=f"joined the {names[group].lower()}") for user, group in sorted(added)
    )
