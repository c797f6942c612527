"""The test project's app."""

from django.apps import AppConfig


class TestsConfig(AppConfig):
    name = "tests.app"
    label = "app"
