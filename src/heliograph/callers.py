"""The file and line of the project that has called Heliograph."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

_PACKAGE = f"{Path(__file__).parent}{os.sep}"
_PASSED_OVER = (_PACKAGE, contextlib.__file__)


def line_of_caller() -> str:
    """Return the file and line of the innermost caller outside of Heliograph, also if it calls by an ExitStack."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PASSED_OVER):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"
