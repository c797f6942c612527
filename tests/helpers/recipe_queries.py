"""Prints the queries of small writes of all recipes of the benchmarks, as JSON: by database, write, rows and recipe."""

import json
from dataclasses import replace

from benchmarks import databases, recipes
from benchmarks.project import set_up

FEW, MORE = 4, 8


def queries(operation, alias):
    return {candidate.name: candidate.run(1) for candidate in recipes.counted(operation, alias)}


def sizes(operation, alias):
    return {rows: queries(replace(operation, rows=rows, times=1), alias) for rows in (FEW, MORE)}


if __name__ == "__main__":
    set_up(*recipes.APPS)
    found = {alias: {one.name: sizes(one, alias) for one in recipes.COUNTED} for alias in databases.available()}
    print(json.dumps(found))
