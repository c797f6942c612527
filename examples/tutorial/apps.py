"""The app of the patterns."""

from django.apps import AppConfig


class TutorialConfig(AppConfig):
    name = "examples.tutorial"
