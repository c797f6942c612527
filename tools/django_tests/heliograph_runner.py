"""Django's test runner that reports what failed, and who dispatches the signals in each test process."""

import json
import os
import unittest
from pathlib import Path

from django.dispatch import Signal
from django.test.runner import DiscoverRunner, ParallelTestSuite, _init_worker

# Both are read in every process, also in one that inherits nothing but the environment.
REPORT = Path(os.environ["HELIOGRAPH_REPORT"])
PROCESSES = REPORT.with_suffix(".processes")


def note_process(kind):
    """Write down who dispatches the signals of this process."""
    line = f"{kind} {os.getpid()}: signals are dispatched by {Signal.connect.__module__}\n"
    with PROCESSES.open("a") as file:
        file.write(line)


def init_worker(*args, **kwargs):
    """Prepare a worker as Django does, and note it.

    Nothing is raised here: on Django 5.2 a pool replaces a worker that fails to start for ever.
    """
    _init_worker(*args, **kwargs)
    note_process("worker")


class Result(unittest.TextTestResult):
    """A result that counts what passed, since Pythons differ in whether a skipped test counts as run."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.passed = 0

    def addSuccess(self, test):  # noqa: N802  (unittest's name)
        """Count one more."""
        super().addSuccess(test)
        self.passed += 1


class Suite(ParallelTestSuite):
    """Tests in parallel, in workers that are noted."""

    init_worker = init_worker


class Runner(DiscoverRunner):
    """A runner that leaves a report in JSON."""

    parallel_test_suite = Suite

    def run_tests(self, *args, **kwargs):
        """Run the tests as Django does; the signals of this process are those that the suite begins with."""
        note_process("main")
        return super().run_tests(*args, **kwargs)

    def get_resultclass(self):
        """Count, unless the developer asked for one of Django's own results."""
        return super().get_resultclass() or Result

    def suite_result(self, suite, result, **kwargs):
        """Write the report when all tests have run."""
        failed = [test for test, *_ in (*result.failures, *result.errors)] + result.unexpectedSuccesses
        report = {
            "passed": result.passed,
            "failed": sorted({label(test.id()) for test in failed}),
        }
        REPORT.write_text(json.dumps(report))
        return super().suite_result(suite, result, **kwargs)


def label(test_id):
    """The name that runs this test again: without its subtest, or of the class whose setup failed, and so on."""
    if test_id.startswith(("setUpClass (", "tearDownClass (")):
        return test_id.partition("(")[2].rstrip(")")
    return test_id.split(" ")[0].removeprefix("unittest.loader._FailedTest.")
