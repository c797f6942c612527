"""Whoever uses an old public name gets the object, and one warning with the new name."""

import sys
import warnings
from types import ModuleType

import pytest

import heliograph
from heliograph.deprecation import HeliographDeprecationWarning, moved
from heliograph.dispatch import Signal
from tools.deprecations import due, modules, moved_names

pytestmark = pytest.mark.usefixtures("old")

TEXT = "heliograph_old.Beacon is now heliograph.dispatch.Signal. Use that: Heliograph 1.0 removes the old name."


@pytest.fixture
def old(monkeypatch):
    """A module that stays as an address: its class was moved, and renamed."""
    module = ModuleType("heliograph_old")
    module.__getattr__ = moved(module.__name__, {"Beacon": "heliograph.dispatch.Signal"}, removed_in="1.0")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module


def test_an_old_name_is_the_object_that_moved(old):
    with pytest.warns(HeliographDeprecationWarning):
        assert old.Beacon is Signal


def test_the_warning_names_the_new_name_and_the_version_that_removes_the_old_one(old):
    with pytest.warns(HeliographDeprecationWarning) as caught:
        old.Beacon  # noqa: B018

    assert [str(warning.message) for warning in caught] == [TEXT]


def test_the_warning_points_at_the_line_that_imports_the_old_name():
    with pytest.warns(HeliographDeprecationWarning) as caught:
        from heliograph_old import Beacon  # noqa: F401

    assert [warning.filename for warning in caught] == [__file__]


def test_each_line_that_uses_an_old_name_warns_once(old):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for _ in range(3):
            first = old.Beacon
        second = old.Beacon

    assert first is second
    assert len(caught) == 2


def test_an_import_from_a_package_warns_at_its_line_and_once(old):
    old.__path__ = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        from heliograph_old import Beacon  # noqa: F401

    assert [warning.filename for warning in caught] == [__file__]


def test_python_takes_the_warning_for_a_deprecation():
    assert issubclass(HeliographDeprecationWarning, DeprecationWarning)


def test_a_name_that_the_module_never_had_is_no_attribute(old):
    with pytest.raises(AttributeError, match=r"^module 'heliograph_old' has no attribute 'Lamp'$"):
        old.Lamp  # noqa: B018


def test_an_old_name_whose_new_one_is_missing_fails_with_the_new_one(old):
    old.__getattr__ = moved("heliograph_old", {"Beacon": "heliograph.dispatch.Torch"}, removed_in="1.0")

    with pytest.raises(AttributeError, match=r"^module 'heliograph.dispatch' has no attribute 'Torch'$"):
        old.Beacon  # noqa: B018


def test_every_old_name_of_heliograph_still_works():
    for moved_away in moved_names(modules()):
        for name in moved_away.names:
            with pytest.warns(HeliographDeprecationWarning):
                assert moved_away(name) is not None


def test_an_old_name_is_due_in_the_release_that_removes_it_and_while_that_is_developed(old):
    found = moved_names([old])

    assert [names.module for names in found] == ["heliograph_old"]
    assert [due(found, version) for version in ("0.9", "0.9.3.dev0")] == [[], []]
    assert [due(found, version) for version in ("1.0.dev0", "1.0", "2.0")] == [found] * 3


def test_no_old_name_of_heliograph_stays_longer_than_was_promised():
    assert due(moved_names(modules()), heliograph.__version__) == []
