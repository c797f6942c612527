"""A small project in a folder, whose command is recorded: its files, and processes that run its commands and tests."""

import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

FILES = {
    "mysite/__init__.py": "",
    "mysite/settings.py": """
        SECRET_KEY = "not a secret"
        INSTALLED_APPS = ["heliograph", "heliograph.outbox", "django.contrib.contenttypes", "shop"]
        DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "db.sqlite3"}}
        DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
        USE_TZ = True
        HELIOGRAPH = {"AUTODISCOVER": True}
    """,
    "shop/__init__.py": "",
    "shop/models.py": """
        from django.db import models

        class Order(models.Model):
            carrier = models.CharField(max_length=20, default="")
    """,
    "shop/signals.py": """
        from heliograph import Signal

        order_shipped = Signal(name="shop.order_shipped")
    """,
    "shop/receivers.py": """
        from django.core.cache import cache

        from heliograph import Durable, OnCommit, created, receiver
        from heliograph.signals import post_save
        from shop.models import Order
        from shop.signals import order_shipped

        @receiver(post_save, sender=Order, when=created)
        def number(instance, **kwargs):
            "Is called within the save."

        @receiver(post_save, sender=Order, when=created, delivery=OnCommit())
        def show(instance, **kwargs):
            "Is called after the commit."

        @receiver(post_save, sender=Order, when=created, delivery=Durable())
        def confirm(instance, **kwargs):
            "Is called by a worker."

        @receiver(order_shipped)
        def write_label(carrier, **kwargs):
            raise LookupError(carrier)

        @receiver(order_shipped, sender="warehouse")
        def never(**kwargs):
            "Is not called: nobody sends this from a warehouse."

        def of_nobody():
            @receiver(order_shipped, weak=False)
            def within(**kwargs):
                "Has no name that can be imported."

        of_nobody()
    """,
    "shop/management/__init__.py": "",
    "shop/management/commands/__init__.py": "",
    "shop/management/commands/ship_all.py": """
        from django.core.management import BaseCommand

        from shop.models import Order
        from shop.signals import order_shipped

        class Command(BaseCommand):
            def add_arguments(self, parser):
                parser.add_argument("carrier")
                parser.add_argument("--fail", action="store_true")

            def handle(self, carrier, fail, **options):
                order = Order.objects.create(carrier=carrier)
                order_shipped.send_robust(Order, order=order, carrier=carrier, boxes=2)
                if fail:
                    raise LookupError("no carrier")
    """,
    "shop/management/commands/idle.py": """
        from django.core.management import BaseCommand

        class Command(BaseCommand):
            def handle(self, **options):
                pass
    """,
}


class Project:
    """The project in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name, code in FILES.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(_dedented(code), encoding="utf-8")
        self.run("django", "migrate", "--run-syncdb", "--verbosity=0")

    def run(self, module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a module of Python in the project, such as django or pytest."""
        command = [sys.executable, "-m", module, *arguments]
        return subprocess.run(command, cwd=self.folder, env=self._environment(), capture_output=True, text=True)

    def record(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `manage.py signals record`."""
        return self.run("django", "signals", "record", *arguments)

    def test(self, file: str) -> subprocess.CompletedProcess[str]:
        """Run the tests of a file."""
        is_known = any(one.name == "heliograph" for one in entry_points(group="pytest11"))
        plugin = () if is_known else ("-p", "_heliograph_pytest")
        options = ("-q", "-p", "no:cacheprovider", "--ds=mysite.settings", "--rootdir=.")
        return self.run("pytest", *options, *plugin, file)

    def read(self, name: str) -> str:
        """Return the text of a file."""
        return (self.folder / name).read_text(encoding="utf-8")

    def replace(self, name: str, old: str, new: str) -> None:
        """Replace a text in a file, which has it."""
        text = self.read(name)
        assert old in text
        (self.folder / name).write_text(text.replace(old, new), encoding="utf-8")

    def _environment(self) -> dict[str, str]:
        path = os.pathsep.join([str(self.folder), os.environ.get("PYTHONPATH", "")])
        return {**os.environ, "PYTHONPATH": path, "DJANGO_SETTINGS_MODULE": "mysite.settings"}


def _dedented(code: str) -> str:
    return "\n".join(line.removeprefix(" " * 8) for line in code.strip("\n").splitlines()) + "\n"
