"""The entries of three other packages become entries of this log."""

import json
import os
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DATABASE = os.environ.get("HELIOGRAPH_TEST_DATABASE", "sqlite")
DECIMAL = {name: {"$": "decimal", "value": name} for name in ("0", "0.00", "1.50", "2.00", "3.00", "4.00")}


def moved(package, *options):
    """Let a project move from a package, and return what it tells."""
    command = [sys.executable, "-m", "tests.audit.moving_project", package, *options]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    return json.loads(finished.stdout)


@pytest.fixture(
    scope="module",
    params=[
        "auditlog",
        "simple_history",
        pytest.param(
            "pghistory", marks=pytest.mark.skipif(DATABASE != "postgresql", reason="pghistory is for PostgreSQL")
        ),
    ],
)
def package(request):
    return request.param


@pytest.fixture(scope="module")
def found(package):
    return moved(package)


def test_l14_each_change_becomes_an_entry(found, package):
    entries = [one for one in found["entries"] if one["action"] != "related"]

    assert [(one["action"], one["object"]) for one in entries] == [
        ("created", "1"),
        ("updated", "1"),
        ("updated", "1"),
        ("created", "2"),
        ("deleted", "2"),
    ]
    assert entries[0]["text"]["price"] == [DECIMAL["1.50"]]
    assert entries[1]["text"] == {"note": [None, "fresh"], "price": [DECIMAL["1.50"], DECIMAL["2.00"]]}
    assert entries[2]["text"]["price"] == [DECIMAL["2.00"], DECIMAL["3.00"]]
    assert entries[2]["text"]["sold_at"][1]["$"] == "datetime"
    assert entries[4]["text"]["name"] == ["gone"]


def test_l14_a_relation_of_auditlog_has_changed_and_nobody_knows_how(found, package):
    related = [(one["text"], one["context"].get("relations")) for one in found["entries"] if one["action"] == "related"]

    expected = {"tags": {"type": "m2m", "operation": "add", "objects": ["Tag object (1)"]}}
    assert related == ([({"tags": "masked"}, expected)] if package == "auditlog" else [])


def test_l14_times_actors_and_reasons_are_kept(found, package):
    first = found["entries"][0]
    times = [*map(datetime.fromisoformat, found["times"])]

    assert times == sorted(times)
    assert (first["actor"], first["actor_label"], first["reason"]) == {
        "auditlog": ("auth.User 1", "ada", ""),
        "simple_history": ("auth.User 1", "ada", "new prices"),
        "pghistory": ("auth.User 1", "", "new prices"),
    }[package]


def test_l14_a_change_set_says_where_it_came_from(found, package):
    table = {"auditlog": "Product", "simple_history": "HistoricalProduct", "pghistory": "ProductEvent"}[package]

    assert [one["context"]["imported"] for one in found["entries"]][:2] == [
        f"{package} shop.{table} 1",
        f"{package} shop.{table} 2",
    ]


def test_l14_a_second_run_doubles_nothing(found):
    assert "Imported 0 entries" in found["second"]
    assert found["again"] == len(found["entries"])


def test_l14_what_both_logs_have_is_not_imported(found):
    assert "Imported 0 entries" in found["third"]
    assert "Left out: 1 made since this log itself has recorded the model." in found["third"]
    assert found["sets"] == len(found["entries"]) + 1


def test_l14_imported_entries_come_before_those_of_the_log(found):
    assert [one["is_below_zero"] for one in found["entries"]] == [True] * len(found["entries"])
    assert (found["own"]["is_below_zero"], found["price_then"]) == (False, "2.00")


def test_l14_a_dry_run_writes_nothing_and_says_what_is_missing(found):
    assert f"Would import {len(found['entries'])} entries" in found["dry"]
    assert found["after_dry"] == 0
    assert "It does not have:\n  " in found["dry"]


@pytest.mark.kills
@pytest.mark.skipif(not hasattr(os, "fork"), reason="This system has no fork")
def test_l14_after_an_import_that_was_killed_another_one_doubles_nothing_and_misses_nothing(package):
    found = moved(package, "--kill")

    whole = len(found["expected"])
    killed = [one["killed"] for one in found["found"]]
    assert killed == sorted(killed)
    assert any(0 < count < whole for count in killed), "No import was killed between two of its chunks"
    assert [one["finished"] for one in found["found"]] == [found["expected"]] * len(killed)
    assert {one["sets"] for one in found["found"]} == {whole}
