"""Figures that receivers compute from rows of two transactions which overlap: on the page, and in the example shop."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.db import connection

ROOT = Path(__file__).parents[2]

is_postgresql, is_sqlite = (connection.vendor == vendor for vendor in ("postgresql", "sqlite"))


def overlapping(folder, whose, what, write_together):
    """Return the errors and figures of two transactions that do the same at the same time."""
    outer = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    path = os.pathsep.join([str(ROOT), *filter(None, [outer.get("PYTHONPATH")])])
    how = "together" if write_together else "in turn"
    finished = subprocess.run(
        [sys.executable, "-m", "tests.helpers.totals", whose, what, how],
        cwd=folder,
        env=outer | {"PYTHONPATH": path, "SHOP_DATA_DIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert finished.returncode == 0, finished.stderr
    return json.loads(finished.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    ("what", "write_together", "totals"),
    [
        # On MariaDB the keys of new lines keep others from any lock of the order: there, one writes after the other.
        ("added", is_postgresql, [40, 20]),
        ("deleted", not is_sqlite, [0, 20]),
        ("moved", is_postgresql, [20, 20]),
    ],
)
def test_totals_of_the_page_are_right_after_transactions_that_overlap(tmp_path, what, write_together, totals):
    assert overlapping(tmp_path, "page", what, write_together) == {"errors": [], "figures": totals}


@pytest.mark.parametrize("what", ["ordered", "ordered again"])
def test_statistics_of_the_shop_are_right_after_transactions_that_overlap(tmp_path, what):
    figures = {"orders": 2, "of the day": 2, "of the customers": 2}
    assert overlapping(tmp_path, "shop", what, is_postgresql) == {"errors": [], "figures": figures}
