"""Django's own test suite with Heliograph installed."""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tools import tally
from tools.environments import BUILD, MATRIX, ROOT, Environment
from tools.matrix import found_pythons
from tools.processes import run
from tools.versions import COMMON_PYTHON, NEWEST_DJANGO, SUPPORTED

SUPPORT = ROOT / "tools" / "django_tests"
WITH, WITHOUT = "runtests_heliograph.py", "runtests.py"

# What signals touch most; --all runs everything.
PACKAGES = (
    "asgi",
    "async",
    "auth_tests",
    "basic",
    "bulk_create",
    "contenttypes_tests",
    "delete",
    "dispatch",
    "fixtures",
    "handlers",
    "m2m_signals",
    "migrate_signals",
    "model_inheritance",
    "proxy_models",
    "requests_tests",
    "select_for_update",
    "signals",
    "test_client",
    "test_utils",
    "transaction_hooks",
    "transactions",
)
# What the watching of a model touches; --watched runs these with every model watched.
WATCHED_PACKAGES = (
    "basic",
    "composite_pk",
    "contenttypes_tests",
    "defer",
    "delete",
    "fixtures",
    "from_db_value",
    "get_or_create",
    "m2m_signals",
    "model_fields",
    "model_inheritance",
    "proxy_models",
    "serializers",
    "signals",
    "transaction_hooks",
    "transactions",
    "update_only_fields",
)
# What bulk writes touch; --bulk runs these with receivers of the bulk writes of every model.
BULK_PACKAGES = (
    "aggregation",
    "annotations",
    "async",
    "basic",
    "bulk_create",
    "composite_pk",
    "contenttypes_tests",
    "custom_managers",
    "db_functions",
    "delete",
    "delete_regress",
    "expressions",
    "expressions_case",
    "fixtures",
    "foreign_object",
    "generic_relations",
    "get_or_create",
    "m2m_recursive",
    "m2m_regress",
    "m2m_signals",
    "m2m_through",
    "m2m_through_regress",
    "many_to_many",
    "many_to_one",
    "many_to_one_null",
    "model_fields",
    "model_inheritance",
    "multiple_database",
    "one_to_one",
    "order_with_respect_to",
    "proxy_models",
    "queries",
    "signals",
    "transactions",
    "update",
    "update_only_fields",
)


@dataclass(frozen=True)
class Way:
    """A way to run the suite: with which settings, what of it, and which of its tests cannot hold then."""

    settings: str
    packages: tuple[str, ...]
    excepted: frozenset[str] = frozenset()
    title: str = ""


USUAL = Way("heliograph_settings", PACKAGES)
WATCHED = Way(
    "heliograph_watching",
    WATCHED_PACKAGES,
    # It wants post_save to have no receiver at all, and then there is one.
    frozenset(["signals.tests.SignalTests.test_disconnect_in_dispatch"]),
    ", models watched",
)
BULK = Way(
    "heliograph_bulk",
    BULK_PACKAGES,
    frozenset(
        [
            # These look at the very statements, or ask whether rows may be deleted without a look at them.
            "bulk_create.tests.BulkCreateTests.test_db_default_field_excluded",
            "delete.tests.DeletionTests.test_only_referenced_fields_selected",
            "delete.tests.FastDeleteTests.test_fast_delete_instance_set_pk_none",
            "delete_regress.tests.DeleteTests.test_self_reference_with_through_m2m_at_second_level",
            "model_inheritance.tests.ModelInheritanceTests.test_update_parent_filtering",
        ]
    ),
    ", bulk writes received",
)
# Their wheels do not exist everywhere, and to build them takes C libraries; the tests that want them skip themselves.
LEFT_OUT = ("pylibmc", "pywatchman")


@dataclass(frozen=True)
class Outcome:
    """The result of one run of Django's suite."""

    passed: int
    failed: frozenset[str]
    processes: tuple[str, ...]


@dataclass(frozen=True)
class Suite:
    """Django's test suite, unpacked, and the environment that runs it."""

    environment: Environment
    folder: Path
    settings: str

    def run(self, script: str, labels: Sequence[str]) -> Outcome:
        """Run the suite by one of its two scripts."""
        report = BUILD / f"{self.folder.parent.name}-{Path(script).stem}.json"
        report.parent.mkdir(exist_ok=True)
        for stale in (report, report.with_suffix(".processes")):
            stale.unlink(missing_ok=True)
        command = [self.environment.python, script, "--noinput", f"--parallel={workers()}", *labels]
        variables = {
            "DJANGO_SETTINGS_MODULE": self.settings,
            "HELIOGRAPH_REPORT": str(report),
            "PYTHONPATH": str(SUPPORT),
        }
        run(command, variables, self.folder, show=True)
        return read(report)


def workers() -> int:
    """At least two, so that Heliograph is seen in workers too."""
    return max(2, os.cpu_count() or 1)


def read(report: Path) -> Outcome:
    """The outcome that a run left behind."""
    if not report.exists():
        sys.exit("Django's suite ended without a report; its output says why: 0 passed, 1 failed")
    facts = json.loads(report.read_text())
    processes = report.with_suffix(".processes").read_text().splitlines()
    return Outcome(facts["passed"], frozenset(facts["failed"]), tuple(processes))


def prepare(django: str, base: Path, way: Way) -> Suite:
    """Make the environment, and put Django's tests beside it."""
    environment = Environment(f"suite-py{COMMON_PYTHON}-django{django}", base, django, ()).prepare()
    folder = source(environment) / "tests"
    install_requirements(environment, folder / "requirements" / "py3.txt")
    add_script(folder)
    return Suite(environment, folder, way.settings)


def source(environment: Environment) -> Path:
    """The source distribution of the installed Django, unpacked."""
    folder = MATRIX / f"django-{environment.django_version()}"
    if not folder.exists():
        archive = download(environment, folder.name.replace("-", "=="))
        with tarfile.open(archive) as file:
            file.extractall(archive.parent, filter="data")
        (archive.parent / folder.name).rename(folder)
    return folder


def download(environment: Environment, requirement: str) -> Path:
    """Fetch a source distribution with pip, since uv has no command for it."""
    target = MATRIX / "sources" / requirement
    shutil.rmtree(target, ignore_errors=True)
    pip = [sys.executable, "-m", "pip", "--python", environment.python, "--quiet", "--disable-pip-version-check"]
    what = ["download", "--no-deps", "--no-binary", ":all:", "--dest", str(target), requirement]
    subprocess.run([*pip, *what], check=True)
    return next(target.glob("*.tar.gz"))


def install_requirements(environment: Environment, requirements: Path) -> None:
    """Install what Django's tests use, once."""
    stamp = environment.folder / "requirements.txt"
    wanted = installable(requirements.read_text())
    if not stamp.exists() or stamp.read_text() != wanted:
        draft = stamp.with_suffix(".draft")
        draft.write_text(wanted)
        environment.install("--requirements", draft)
        draft.rename(stamp)


def installable(requirements: str) -> str:
    """The requirements without comments and without those that pip alone cannot install."""
    lines = [line for line in requirements.splitlines() if line.strip() and not line.startswith("#")]
    return "\n".join(line for line in lines if re.split(r"[ ;<>=\[]", line)[0] not in LEFT_OUT) + "\n"


def add_script(folder: Path) -> None:
    """Write Django's runtests.py again, with Heliograph among the apps that are always installed.

    It is a script of its own, because workers that are spawned import the main script once more.
    """
    text = (folder / WITHOUT).read_text()
    place = "\nALWAYS_MIDDLEWARE = ["
    if text.count(place) != 1:
        raise ValueError(f"{folder / WITHOUT} has no single {place.strip()!r}; say where its list of apps ends now.")
    (folder / WITH).write_text(text.replace(place, f'\nALWAYS_INSTALLED_APPS.append("heliograph")\n{place}'))


def check_adoption(processes: Sequence[str]) -> None:
    """Heliograph dispatches in the main process and in every worker, or the run proves nothing."""
    print("\n".join(processes), flush=True)
    strangers = [line for line in processes if " heliograph." not in line]
    if strangers or not any(line.startswith("worker") for line in processes):
        sys.exit("Heliograph does not dispatch the signals of every test process: 0 passed, 1 failed")


def blame(suite: Suite, outcome: Outcome, labels: Sequence[str]) -> frozenset[str]:
    """The failures that go away without Heliograph.

    If some pass without it when only their classes run, the whole run is repeated without it, because some of Django's
    tests depend on what ran before them.
    """
    suspects = outcome.failed
    for again in (classes(suspects), labels):
        if suspects:
            print(f"\nAgain without Heliograph: {len(suspects)} tests failed with it", flush=True)
            suspects -= replace(suite, settings=USUAL.settings).run(WITHOUT, again).failed
    if outcome.failed:
        print_list("Fail with and without Heliograph, so they are not its doing", outcome.failed - suspects)
        print_list("FAIL ONLY WITH HELIOGRAPH", suspects)
    return suspects


def classes(failed: frozenset[str]) -> list[str]:
    """The classes of these tests, and the packages of modules that could not be imported.

    Workers report a test by its number in its class, and Python 3.12.1 does not count the skipped ones: the wrong name
    is reported there, and the same wrong name again only if the same class runs.
    """
    return sorted({_class_of(name) or name.partition(".")[0] for name in failed})


def _class_of(name: str) -> str:
    """The label up to the class, which is the first part that is capitalised."""
    found = re.match(r"[a-z0-9_.]+\.[A-Z]\w*", name)
    return found[0] if found else ""


def print_list(title: str, names: frozenset[str]) -> None:
    """A title with its names, one a line."""
    print("\n".join([f"\n{title}: {len(names)}", *(f"  {name}" for name in sorted(names))]), flush=True)


def test(django: str, base: Path, labels: Sequence[str], way: Way) -> tally.Tally:
    """Run the suite of one Django."""
    suite = prepare(django, base, way)
    name = f"Django's own tests, {suite.folder.parent.name}{way.title}"
    print(f"\n--- {name}, with Heliograph ---", flush=True)
    started = time.monotonic()
    outcome = suite.run(WITH, labels)
    check_adoption(outcome.processes)
    outcome = replace(outcome, failed=outcome.failed - way.excepted)
    failed = len(blame(suite, outcome, labels))
    return tally.Tally(name, outcome.passed, failed, time.monotonic() - started)


def options_of(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line: the newest Django and the chosen packages, unless it says otherwise."""
    parser = argparse.ArgumentParser(prog="django_suite", description=__doc__)
    parser.add_argument("--django", action="append", choices=SUPPORTED, help="may be given several times")
    parser.add_argument("--all", action="store_true", help="the whole suite")
    parser.set_defaults(way=USUAL)
    ways = parser.add_mutually_exclusive_group()
    ways.add_argument("--watched", **_way(WATCHED), help="with every model watched for changes")
    ways.add_argument("--bulk", **_way(BULK), help="with receivers of the bulk writes of every model")
    parser.add_argument("labels", nargs="*", help="packages, modules or tests instead of the usual packages")
    return parser.parse_args(arguments)


def _way(way: Way) -> dict[str, Any]:
    return {"dest": "way", "action": "store_const", "const": way}


def main() -> None:
    """Run Django's suite on each Django that is asked for."""
    options = options_of()
    bases = found_pythons([COMMON_PYTHON])
    labels = [] if options.all else options.labels or options.way.packages
    tallies = [
        test(django, base, labels, options.way)
        for django in options.django or [NEWEST_DJANGO]
        for base in bases.values()
    ]
    for result in tallies:
        tally.record(result)
        print(result)
    sys.exit(any(result.failed for result in tallies))


if __name__ == "__main__":
    main()
