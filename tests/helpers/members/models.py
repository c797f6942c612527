"""The user model that takes the place of Django's."""

from django.contrib.auth.models import AbstractUser


class Member(AbstractUser):
    class Meta:
        app_label = "members"
