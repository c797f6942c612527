"""The app of the project that is killed."""

from importlib import import_module

from django.apps import AppConfig


class CrashConfig(AppConfig):
    name = "tests.crash"
    label = "crash"

    def ready(self):
        import_module("tests.crash.receivers")
