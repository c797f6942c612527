import gc
import re
import socket
import sys
from itertools import chain

import django
import pytest

from tests.conftest import DATABASE_INDEPENDENT, PYTHON_INDEPENDENT
from tests.helpers.databases import KINDS, databases
from tools import absences, crash, everything, interpreters, tally
from tools.calls import Length, length, recorded
from tools.coverage_gates import markers_that_fail
from tools.django_suite import classes, installable
from tools.environments import ROOT
from tools.journey_runs import JOURNEYS
from tools.journeys import table as table_of_journeys
from tools.journeys import too_long, trace, walk
from tools.matrix import Cell, Pair, Result, arguments_of, cells, is_left_out, is_run_by_tests, pairs, table
from tools.processes import Finished
from tools.services import Service, how_to_start, of_url, silent
from tools.suite import OF_DISPATCHER, SMOKE, Part, has_passed, parts, selection
from tools.versions import COMMON_PYTHON, NEWEST_DJANGO, PYTHONS, REQUIRED_PYTHONS, SUPPORTED


def script(path, *lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["#!/bin/sh", *lines]))
    path.chmod(0o755)
    return path


@pytest.fixture
def path_folder(tmp_path, monkeypatch):
    """An empty folder that is all of PATH, and no pyenv."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    return tmp_path / "bin"


@pytest.fixture
def closed_port():
    """A port that was free a moment ago, so that nothing listens there."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def test_every_pair_that_both_sides_support_is_in_the_matrix():
    assert [str(pair) for pair in pairs(PYTHONS, SUPPORTED)] == [
        "Python 3.11, Django 5.2",
        "Python 3.12, Django 5.2",
        "Python 3.13, Django 5.2",
        "Python 3.14, Django 5.2",
        "Python 3.12, Django 6.0",
        "Python 3.13, Django 6.0",
        "Python 3.14, Django 6.0",
        "Python 3.12, Django 6.1",
        "Python 3.13, Django 6.1",
        "Python 3.14, Django 6.1",
    ]


def test_a_python_that_is_not_found_has_no_pairs():
    assert pairs(["3.11"], ["5.2", "6.1"]) == [Pair("3.11", "5.2")]


def test_each_pair_runs_on_sqlite_and_each_django_on_the_servers_with_names_of_their_own():
    found = cells([Pair("3.11", "5.2"), Pair("3.12", "5.2"), Pair("3.12", "6.1")], ["sqlite", "postgresql"])

    assert [str(cell) for cell in found] == [
        "Python 3.12, Django 5.2, postgresql",
        "Python 3.12, Django 6.1, postgresql",
        "Python 3.11, Django 5.2, sqlite",
        "Python 3.12, Django 5.2, sqlite",
        "Python 3.12, Django 6.1, sqlite",
    ]
    assert len({cell.name for cell in found}) == 5
    assert found[0].variables == {
        "HELIOGRAPH_TEST_DATABASE": "postgresql",
        "HELIOGRAPH_TEST_CELL": "py312_dj52_postgresql",
        "PYTHONPATH": "",
    }


def test_a_python_that_was_asked_for_runs_on_the_servers():
    assert len(cells([Pair("3.13", "6.1")], ["sqlite", "postgresql"])) == 2


def test_what_make_tests_runs_is_not_run_again_in_ci():
    own, others = Pair("3.11", "5.2"), [Pair("3.12", "5.2"), Pair("3.12", "6.1")]
    found = [cell for cell in cells([own, *others], ["sqlite", "postgresql"]) if is_run_by_tests(cell, own)]
    assert {str(cell) for cell in found} == {"Python 3.11, Django 5.2, sqlite", "Python 3.12, Django 5.2, postgresql"}


def test_what_is_the_same_elsewhere_is_left_out():
    assert selection("sqlite") == ["-m", "not kills and not browser"]
    assert selection("postgresql", is_common_python=False) == [
        "-m",
        "not kills and not browser and not database_independent and not python_independent",
    ]


def test_the_tests_of_the_dispatcher_measure_branches_on_sqlite_and_all_other_tests_lines():
    *others, dispatcher = parts("sqlite", ["-x"])
    (server,) = parts("postgresql", ["-x"])

    assert dispatcher.arguments == (*selection("sqlite"), "-x", *OF_DISPATCHER)
    assert server.arguments == (*selection("postgresql"), "-x")
    assert [(part.database, part.with_branches) for part in (*others, dispatcher, server)] == [
        *(("sqlite", False), ("sqlite", False), ("sqlite", True), ("postgresql", False)),
    ]


def test_all_other_tests_on_sqlite_run_once_with_a_database_or_without():
    without, others, _ = parts("sqlite", ["-x"])
    ignored = [f"--ignore={folder}" for folder in OF_DISPATCHER]

    assert without.arguments == ("-m", "not kills and not browser and database_independent", "-x", *ignored)
    assert others.arguments == ("-m", "not kills and not browser and not database_independent", "-x", *ignored)


def test_parts_that_run_side_by_side_have_databases_of_their_own():
    every = [part for database in KINDS for part in parts(database, [])]
    cells = {part.variables["HELIOGRAPH_TEST_CELL"] for part in every}
    assert len(cells) == len(every) == 5


@pytest.mark.parametrize("named", ["tests/audit", "tests/test_words.py::test_a"])
def test_tests_that_are_named_by_their_paths_are_run_once(named):
    (part,) = parts("sqlite", [named])
    assert part.arguments == (*selection("sqlite"), named)


def test_options_may_leave_no_test_of_one_part_but_not_of_all():
    outcomes = {codes: has_passed(codes) for codes in ((0, 0), (5, 0), (0, 5), (5, 5), (0, 1), (1, 5))}
    assert [codes for codes, passed in outcomes.items() if passed] == [(0, 0), (5, 0), (0, 5)]


def test_only_lines_are_measured_by_the_events_of_python():
    lines, branches = (Part("tests", "sqlite", with_branches, ()) for with_branches in (False, True))
    usual = {"HELIOGRAPH_TEST_DATABASE": "sqlite", "HELIOGRAPH_TEST_CELL": "tests"}
    fast = {"COVERAGE_CORE": "sysmon"} if sys.version_info >= (3, 12) else {}
    assert lines.variables == usual | fast
    assert branches.variables == usual
    assert ("--branch" in branches.measuring, "--branch" in lines.measuring) == (True, False)


def test_a_quick_run_has_all_tests_of_the_newest_django_and_a_part_of_the_others():
    newest, other = (Cell(Pair(COMMON_PYTHON, django), "sqlite") for django in (NEWEST_DJANGO, "5.2"))

    assert arguments_of(newest, quick=True) == arguments_of(newest, quick=False) == ["-m", "not kills and not browser"]
    assert arguments_of(other, quick=False) == ["-m", "not kills and not browser"]
    assert arguments_of(other, quick=True) == ["-m", "not kills and not browser", *SMOKE]


def test_a_quick_run_has_each_django_and_each_python_on_sqlite_and_every_cell_of_the_servers():
    every = cells(pairs(PYTHONS, SUPPORTED), ["sqlite", "mariadb"])
    left = [cell for cell in every if not is_left_out(cell, rest=False, quick=True)]
    on_sqlite = [cell.pair for cell in left if cell.database == "sqlite"]
    assert sorted(pair.django for pair in on_sqlite) == sorted([*SUPPORTED, NEWEST_DJANGO])
    assert {pair.python for pair in on_sqlite} >= {*REQUIRED_PYTHONS}
    assert {cell for cell in every if cell.database == "mariadb"} <= {*left}


@pytest.mark.parametrize("path", sorted({*SMOKE, *OF_DISPATCHER, *crash.KILLS}))
def test_what_a_part_of_the_tests_names_exists(path):
    assert (ROOT / path).exists()


def test_each_step_of_everything_is_a_target_of_make():
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for step in chain.from_iterable(chain.from_iterable(everything.STAGES)):
        assert {one for one in step.arguments if one[0] != "-" and "=" not in one} <= set(targets)


def test_steps_run_up_to_the_first_that_fails_and_their_stage_is_the_last():
    good, bad = everything.Step("good", ("--version",)), everything.Step("bad", ("no-such-target",))
    done = everything.perform_all([[(good,)], [(bad, good), (good, good)], [(good,)]])
    assert [(step.name, step.passed) for step in done] == [
        *(("good", True), ("bad", False), ("good", True), ("good", True)),
    ]


def test_the_table_shows_a_failure_where_it_happened():
    pair = Pair("3.12", "6.1")
    results = [
        Result(Cell(pair, "sqlite"), Finished(0, "5 passed in 1s", 1)),
        Result(Cell(pair, "mariadb"), Finished(1, "2 failed, 3 passed in 1s", 1)),
    ]

    heading, row = table(results, ["sqlite", "mariadb"]).splitlines()

    assert heading.split() == ["sqlite", "mariadb"]
    assert row.split("6.1")[1].split() == ["5", "passed", "2", "FAILED"]


def test_a_cell_that_ends_before_its_first_test_is_one_failure():
    result = Result(Cell(Pair("3.12", "6.1"), "sqlite"), Finished(4, "ERROR: usage", 1))

    assert (result.tally.passed, result.tally.failed) == (0, 1)


def test_a_shim_that_fails_is_not_an_interpreter(path_folder):
    script(path_folder / "python3.12", "echo 'pyenv: python3.12: command not found' >&2", "exit 127")

    assert interpreters.find("3.12") is None


def test_an_interpreter_behind_a_failing_shim_is_found(path_folder, tmp_path, monkeypatch):
    script(path_folder / "python3.12", "exit 127")
    real = script(tmp_path / "other" / "python3.12", "echo 3.12")
    monkeypatch.setenv("PATH", f"{path_folder}:{real.parent}")

    assert interpreters.find("3.12") == real


def test_an_interpreter_of_another_version_is_not_taken(path_folder):
    script(path_folder / "python3.12", "echo 3.11")

    assert interpreters.find("3.12") is None


def test_pyenv_gives_its_newest_patch_and_no_free_threaded_build(path_folder, tmp_path):
    for version in ("3.13.2", "3.13.10", "3.13.11t"):
        script(tmp_path / "pyenv" / "versions" / version / "bin" / "python", "echo 3.13")

    assert interpreters.find("3.13") == tmp_path / "pyenv" / "versions" / "3.13.10" / "bin" / "python"


def test_a_closed_port_does_not_answer(closed_port):
    assert silent((Service("mariadb", "127.0.0.1", closed_port),))


def test_an_open_port_answers():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert not silent((Service("mariadb", "127.0.0.1", listener.getsockname()[1]),))


def test_a_broker_is_where_its_url_says():
    assert of_url("rabbitmq", "amqp://guest:guest@mq:1//") == Service("rabbitmq", "mq", 1)
    assert of_url("redis", "redis://cache/0") == Service("redis", "cache", 6379)


def test_a_silent_service_is_named_with_the_command_that_starts_it():
    assert how_to_start(Service("mariadb", "127.0.0.1", 3306)) == (
        "mariadb on 127.0.0.1:3306 does not answer: start it, e.g. `service mariadb start`"
    )


def test_a_developer_may_leave_something_out(monkeypatch, capsys):
    monkeypatch.delenv("CI", raising=False)

    absences.leave_out(["the moon"])

    assert capsys.readouterr().out == "left out: the moon\n"


def test_ci_leaves_nothing_out(monkeypatch):
    monkeypatch.setenv("CI", "true")

    with pytest.raises(SystemExit, match="nothing is left out"):
        absences.leave_out(["the moon"])


def test_pytests_closing_line_is_counted_and_nothing_before_it():
    output = "test says: 7 passed\n\x1b[31m1 failed\x1b[0m, \x1b[32m12 passed\x1b[0m, 2 skipped, 1 error in 0.33s\n"

    counted = tally.of_pytest("tests", output, 0.33)

    assert (counted.passed, counted.failed) == (12, 2)


def test_the_slowest_tests_are_those_that_pytest_lists():
    output = "12.50s call     tests/test_a.py::test_b[a b]\n0.10s setup    tests/test_a.py::test_c\n3 passed in 9.00s\n"

    assert tally.of_pytest("tests", output, 9).slow == (
        (12.5, "tests/test_a.py::test_b[a b] (call)"),
        (0.1, "tests/test_a.py::test_c (setup)"),
    )


def test_a_report_says_where_the_time_went_and_ends_with_the_sum():
    done = [everything.Done("tests", True, 61, 99), everything.Done("crash tests", True, 59, 9)]
    tallies = [tally.Tally("on sqlite", 5, 0, 60, ((2, "fast"),)), tally.Tally("on mariadb", 6, 1, 50, ((3, "slow"),))]

    said = [" ".join(line.split()) for line in everything.report(done, tallies, 120).splitlines()]

    assert said == [
        *("", "--- where the time went ---", "tests 61 s, 99 s of processors", "crash tests 59 s, 9 s of processors"),
        *("", "--- the slowest tests ---", "3.0 s slow, on mariadb", "2.0 s fast, on sqlite"),
        *("", "--- what passed ---", "on sqlite 5 passed, 0 failed in 60 s", "on mariadb 6 passed, 1 failed in 50 s"),
        "11 passed, 1 failed in 2.0 min",
    ]


def test_a_step_that_fails_without_a_test_is_a_failure():
    said = everything.report([everything.Done("style", False, 6, 3)], [], 6)

    assert "style 6 s, 3 s of processors, FAILED" in " ".join(said.split())
    assert said.endswith("\n0 passed, 1 failed in 0.1 min")


def test_what_was_kept_is_read_again(tmp_path, monkeypatch):
    monkeypatch.setattr(tally, "RECORD", tmp_path / "new" / "tally.jsonl")
    assert tally.recorded() == []

    tally.record(tally.Tally("on sqlite", 5, 0, 60, ((2.5, "slow"),)))
    assert [(one.part, one.passed, [*map(tuple, one.slow)]) for one in tally.recorded()] == [
        ("on sqlite", 5, [(2.5, "slow")])
    ]

    tally.forget()
    assert tally.recorded() == []


def test_lines_for_other_versions_do_not_count():
    assert list(markers_that_fail("python", (3, 12), ["3.11", "3.12", "3.13"])) == [
        "python<3.11",
        "python<3.12",
        "python>=3.13",
    ]


def test_requirements_that_need_c_libraries_are_left_out():
    text = "# a comment\nPillow >= 10.1.0; sys.platform != 'win32'\npylibmc; sys_platform != 'win32'\ntblib >= 3.0.0\n"

    assert installable(text) == "Pillow >= 10.1.0; sys.platform != 'win32'\ntblib >= 3.0.0\n"


def test_failed_tests_are_run_again_by_their_classes():
    failed = frozenset({"basic.tests.ModelTest.test_save", "basic.tests.ModelTest.test_delete", "mail.test_backends"})

    assert classes(failed) == ["basic.tests.ModelTest", "mail"]


def test_an_unknown_database_is_refused_by_name():
    with pytest.raises(ValueError, match=r"'oracle'; it must be one of sqlite, postgresql, mariadb\.$"):
        databases("oracle")


@pytest.mark.parametrize("kind", ["sqlite", "postgresql", "mariadb"])
def test_both_aliases_are_databases_of_their_own_on_one_server(kind):
    default, other = databases(kind).values()

    assert default["NAME"] != other["NAME"]
    assert default.get("PORT") == other.get("PORT")


# --- journeys ---------------------------------------------------------------------------------------------------


@pytest.fixture
def written(tmp_path):
    """Write modules, by their names, and return their functions, which use each other: `written(a="def f(): ...")`."""

    def write(**sources):
        functions = {}
        for name, source in sources.items():
            exec(compile(source, str(tmp_path / f"{name}.py"), "exec"), functions)
        return functions

    return write


def test_a_tree_of_calls_has_each_once_below_its_caller_and_marks_where_the_reader_changes_file(written, tmp_path):
    functions = written(
        a="def begin(outside):\n [helper(n) for n in numbers()]\n return outside(finish)\ndef finish(): pass",
        b="def numbers():\n yield 1\n yield 2\ndef helper(n): pass",
    )

    tree = recorded(lambda: functions["begin"](lambda function: function()), tmp_path)

    assert [*trace(tree)] == [
        "  a.py:1 begin",
        ">   b.py:1 numbers",
        ">   b.py:4 helper  x 2",
        "    a.py:4 finish",
    ]
    assert length(tree) == Length(calls=4, changes=2, repeated=5)


def test_a_function_that_others_call_is_a_change_of_file_after_one_of_another_file(written, tmp_path):
    functions = written(a="def first(): pass\ndef second(): pass", b="def third(): pass")

    tree = recorded(lambda: [functions[name]() for name in ("first", "second", "third")], tmp_path)

    assert [*trace(tree)] == ["  a.py:1 first", "  a.py:2 second", "> b.py:1 third"]


@pytest.fixture(scope="module")
def walked():
    """The length of each journey through the package."""
    return {name: length(start) for name, start in walk([*JOURNEYS]).items()}


VERSIONS = ["{}.{}".format(*version[:2]) for version in (sys.version_info, django.VERSION)]


@pytest.mark.skipif(VERSIONS != [COMMON_PYTHON, NEWEST_DJANGO], reason="the limits are for one Python and one Django")
def test_no_journey_is_longer_than_its_limit(walked):
    assert too_long(walked) == []


def test_a_plain_send_is_one_call_and_every_other_journey_is_made(walked):
    found = dict(walked)

    assert found.pop("send") == Length(calls=1, changes=0, repeated=1)
    assert {name for name, one in found.items() if one.repeated >= one.calls > one.changes > 0} == {
        *("connect", "save", "update", "durable"),
    }


def test_a_journey_is_too_long_by_its_calls_or_by_its_changes_of_file():
    assert too_long({"save": Length(120, 60, 999), "update": Length(121, 60, 121), "durable": Length(1, 51, 1)}) == [
        *("update", "durable"),
    ]


def test_the_table_of_journeys_says_which_is_too_long():
    _, good, bad = table_of_journeys({"send": Length(1, 0, 1), "save": Length(130, 40, 150)})

    assert good.split()[:6] == ["send", "1", "1", "0", "0", "1"]
    assert bad.split()[:6] == ["save", "130", "120", "40", "60", "150"]
    assert [line.endswith(", TOO LONG") for line in (good, bad)] == [False, True]


def test_the_files_that_conftest_marks_are_there():
    marked = {*DATABASE_INDEPENDENT, *PYTHON_INDEPENDENT}
    assert [path for path in sorted(marked) if not (ROOT / "tests" / path).exists()] == []


def test_a_file_of_tests_has_fewer_than_800_lines():
    files = [path for path in ROOT.glob("tests/**/*.py") if len(path.read_text(encoding="utf-8").splitlines()) >= 800]
    assert files == []


def test_garbage_collection_passes_over_the_collected_tests():
    assert gc.get_freeze_count() > 10_000
