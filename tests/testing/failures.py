"""The text with which an assertion fails."""

from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

import heliograph.testing

VERBS = Path(heliograph.testing.__file__).parent


def failure(assertion: Any, *args: Any, **values: Any) -> str:
    """Call an assertion that is to fail, and return its text; the traceback that people see must not have our code."""
    with pytest.raises(AssertionError) as caught:
        assertion(*args, **values)
    assert VERBS not in {Path(entry.path).parent for entry in caught.traceback.filter(caught)}
    assert VERBS not in _folders_shown_by_unittest(caught.value.__traceback__)
    return str(caught.value)


def _folders_shown_by_unittest(traceback: TracebackType | None) -> set[Path]:
    """Return the folders of the frames that unittest shows: it leaves out modules with a name of its own."""
    shown = set()
    while traceback is not None:
        if "__unittest" not in traceback.tb_frame.f_globals:
            shown.add(Path(traceback.tb_frame.f_code.co_filename).parent)
        traceback = traceback.tb_next
    return shown
