"""Lists the old public names that still work, with the release that removes each."""

import os
import pkgutil
import sys
from collections.abc import Iterable, Iterator
from importlib import import_module
from types import ModuleType

import django
from packaging.version import Version

import heliograph
from heliograph.deprecation import MovedNames

# What only those import who have an optional package.
OPTIONAL = "heliograph.outbox.backends."


def modules() -> Iterator[ModuleType]:
    """The modules of Heliograph; those whose optional package is not installed are left out."""
    for found in pkgutil.walk_packages(heliograph.__path__, "heliograph."):
        try:
            yield import_module(found.name)
        except ImportError:
            if not found.name.startswith(OPTIONAL):
                raise


def moved_names(where: Iterable[ModuleType]) -> list[MovedNames]:
    """Return the former names of these modules, for the modules that have some."""
    found = [vars(module).get("__getattr__") for module in where]
    return [names for names in found if isinstance(names, MovedNames)]


def due(moved: Iterable[MovedNames], version: str) -> list[MovedNames]:
    """Those whose old names this version, or one before it, was to remove; 1.0.dev0 counts as 1.0."""
    release = Version(Version(version).base_version)
    return [names for names in moved if Version(names.removed_in) <= release]


def main() -> None:
    """Print a line for each old name; fail if one is to be removed in the version of this checkout."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()
    found = moved_names(modules())
    for names in found:
        for name in names.names:
            print(names.reason(name))
    late = due(found, heliograph.__version__)
    sys.exit(f"Remove now: {', '.join(names.module for names in late)}" if late else None)


if __name__ == "__main__":
    main()
