"""Public names of packages stay what they are when modules of the packages are imported first."""

import subprocess
import sys

import pytest

pytestmark = [pytest.mark.database_independent, pytest.mark.python_independent]

# A module that is imported becomes an attribute of its package, also where a function of the package has its name.
IMPORT_MODULES_THEN_NAMES = """
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType

import django

django.setup()
for name in ["outbox", "audit", "testing", "recipes", "recipes.webhooks", "recipes.search"]:
    package = import_module(f"heliograph.{name}")
    public = {*package.__all__}
    for module in iter_modules(package.__path__, f"{package.__name__}."):
        if module.name.rpartition(".")[2] in public:
            import_module(module.name)
    for one in sorted(public):
        if isinstance(getattr(package, one), ModuleType):
            print(f"{package.__name__}.{one} is a module")
"""


def test_a_public_name_is_its_function_also_after_a_module_with_the_name_was_imported():
    command = [sys.executable, "-c", IMPORT_MODULES_THEN_NAMES]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == ""
