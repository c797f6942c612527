"""The plugin of pytest, in projects of their own: what it imports, and where its fixtures work."""

import importlib.util
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import heliograph

ROOT = Path(__file__).resolve().parents[2]
# Other plugins take time; pytest-django imports Django.
WITHOUT_OTHERS = ("-p", "no:asyncio", "-p", "no:celery", "-p", "no:hypothesispytest")
WITHOUT_DJANGO = ("-p", "no:django")

NOT_FOR_OTHERS = ("DJANGO_SETTINGS_MODULE", "PYTHONDONTWRITEBYTECODE")

SETTINGS = """
    INSTALLED_APPS = ["heliograph", {apps} "django.contrib.contenttypes", "django.contrib.auth"]
    DATABASES = {{"default": {{"ENGINE": "django.db.backends.sqlite3", "NAME": "{name}"}}}}
    DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
    USE_TZ = True
"""


@pytest.fixture
def project(tmp_path):
    """Run pytest in a folder with these files: the plugin is found by its entry point, as an installed one is."""
    entry_points = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["pytest11"]
    info = tmp_path / "installed" / "heliograph-0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: heliograph\nVersion: 0\n")
    lines = [f"{name} = {module}" for name, module in entry_points.items()]
    (info / "entry_points.txt").write_text("\n".join(["[pytest11]", *lines]))
    (tmp_path / "pytest.ini").write_text("[pytest]\n")

    def run(*arguments, **files):
        for name, text in files.items():
            (tmp_path / f"{name}.py").write_text(dedented(text))
        path = [str(tmp_path), str(info.parent), str(Path(heliograph.__file__).parents[1]), *sys.path]
        env = {name: value for name, value in os.environ.items() if name not in NOT_FOR_OTHERS}
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *WITHOUT_OTHERS, *arguments]
        env |= {"PYTHONPATH": os.pathsep.join(path)}
        return subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)

    return run


def dedented(text):
    return "\n".join(line.removeprefix("    ") for line in text.splitlines())


def settings(*, apps='"heliograph.outbox",', name=":memory:"):
    return SETTINGS.format(apps=apps, name=name)


TESTS = """
    import pytest
    from django.contrib.auth.models import User
    from django.db.models.signals import post_save
    from heliograph import Durable, receiver

    @receiver(post_save, sender=User, delivery=Durable())
    def welcome(instance, **kwargs): ...

    @pytest.mark.parametrize("number", range(8))
    def test_a_user_is_welcomed(number, signals, outbox, db):
        user = User.objects.create(username=f"user {number}")
        outbox.drain()
        signals.assert_called(welcome, instance=user, times=1)

    def test_a_user_is_welcomed_after_a_commit(signals, outbox, transactional_db):
        user = User.objects.create(username="ada")
        outbox.assert_enqueued(welcome, instance=user, times=1)
        outbox.drain()
        signals.assert_called(welcome, instance=user)
"""


def test_k6_nothing_is_imported_where_no_test_asks_for_a_fixture(project):
    done = project(
        *WITHOUT_DJANGO,
        test_unused="""
    import sys

    def test_nothing(request):
        assert request.config.pluginmanager.has_plugin("heliograph")
        assert {"heliograph", "django", "asgiref"} & {*sys.modules} == set()
""",
    )

    assert done.returncode == 0, done.stdout


def test_k6_pytest_django_sets_django_up_before_the_plugin_imports_it(project):
    conftest = """
    import sys

    from django.apps import apps

    assert apps.ready
    assert "heliograph.testing" not in sys.modules
"""
    done = project("--ds=settings", settings=settings(), conftest=conftest, test_users=TESTS)

    assert "9 passed" in done.stdout, done.stdout


@pytest.mark.skipif(importlib.util.find_spec("xdist") is None, reason="pytest-xdist is not installed")
def test_k1_the_fixtures_work_in_processes_of_xdist(project, tmp_path):
    name = str(tmp_path / "tests.sqlite3")
    done = project("--ds=settings", "-n", "2", settings=settings(name=name), test_users=TESTS)

    assert "9 passed" in done.stdout, done.stdout


def test_the_verbs_for_signals_work_without_the_app_of_the_outbox(project):
    done = project(
        "--ds=settings",
        settings=settings(apps=""),
        test_signals="""
    from django.contrib.auth.models import User
    from django.db.models.signals import post_save
    from heliograph import receiver
    from heliograph.testing import SignalTests, batch_of, only

    @receiver(post_save, sender=User)
    def welcome(instance, **kwargs): ...

    def test_a_user_is_welcomed(signals, db):
        user = User.objects.create()
        signals.assert_called(welcome, instance=user)
        signals.deliver(welcome, instance=user)
""",
    )

    assert "1 passed" in done.stdout, done.stdout


def test_k2_a_test_that_fails_leaves_nothing_to_the_next_one(project):
    done = project(
        *WITHOUT_DJANGO,
        test_failing="""
    from heliograph import Signal
    from heliograph.dispatch.scopes import everywhere, watch

    shipped = Signal(name="shop.shipped")

    def test_a_failure(signals):
        shipped.send(None)
        signals.assert_sent(shipped, boxes=1)

    def test_the_next(signals):
        signals.assert_not_sent(shipped)

    def test_another_one():
        assert (everywhere, watch) == ([], [])
""",
    )

    assert "1 failed, 2 passed" in done.stdout, done.stdout
    assert "shop.shipped was not sent with boxes=1." in done.stdout
