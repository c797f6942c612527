"""The user of the admin as whom everybody who looks at the demonstration is signed in."""

from django.contrib.auth.models import Permission, User

NAME = "visitor"


def visitor() -> User:
    """Return the user, who has no password and may view deliveries, and nothing else."""
    user, _ = User.objects.get_or_create(username=NAME, defaults={"is_staff": True, "password": "!"})
    user.user_permissions.set(Permission.objects.filter(codename="view_delivery"))
    return user
