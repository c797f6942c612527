"""The user of the admin as whom everybody who looks at the demonstration is signed in."""

from django.contrib.auth.models import Permission, User

NAME = "visitor"
SEEN = ["bookstore", "heliograph_audit", "heliograph_outbox"]  # the apps whose rows a visitor may view


def visitor() -> User:
    """Return the user, who has no password and may view books, deliveries and the audit log, and nothing else."""
    user, _ = User.objects.get_or_create(username=NAME, defaults={"is_staff": True, "password": "!"})
    viewing = Permission.objects.filter(content_type__app_label__in=SEEN, codename__startswith="view_")
    user.user_permissions.set(viewing)
    return user
