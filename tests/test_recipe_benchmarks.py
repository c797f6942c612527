"""In the benchmarks of recipes, every recipe does its work, and none has a statement for each row of a bulk write."""

import json
import subprocess
import sys

import pytest

from benchmarks.compared_recipes import CREATE, RECIPES, SAVES, NothingConnected
from heliograph import recipes
from tests.helpers.recipe_queries import FEW, MORE

# Kept fields have tables of their own, `cached()` reads, and `migrate` writes a seed.
ELSEWHERE = {"cached", "keep", "keep_groups", "seed"}


@pytest.fixture(scope="module")
def queries():
    """The queries of writes of a few rows; the project of the benchmarks has a process of its own."""
    command = [sys.executable, "-m", "tests.helpers.recipe_queries"]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)


def test_every_recipe_is_measured():
    declared = {name for name in recipes.__all__ if name[0].islower()} - ELSEWHERE
    assert {recipe.name.partition(",")[0] for recipe in RECIPES} == declared


def test_every_recipe_does_its_work_in_every_write_by_which_it_is_measured(queries):
    for writes in queries.values():
        for recipe in (NothingConnected, *RECIPES):
            assert {name for name, sizes in writes.items() if recipe.name in sizes[str(FEW)]} == {*recipe.operations}


def test_no_recipe_has_a_statement_for_each_row_of_a_bulk_create(queries):
    for writes in queries.values():
        assert writes[CREATE][str(FEW)] == writes[CREATE][str(MORE)]


def test_a_statement_for_each_row_is_seen(queries):
    for writes in queries.values():
        few, more = (writes[SAVES][str(rows)]["transitions by hand"] for rows in (FEW, MORE))
        assert more - few == 2 * (MORE - FEW)
