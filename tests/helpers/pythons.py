"""What versions of Python do not have in common."""

import sys

import pytest

HAS_GIL = not hasattr(sys, "_is_gil_enabled") or sys._is_gil_enabled()
COUNTS_ALL_REFERENCES = sys.version_info < (3, 14) and HAS_GIL

counts_all_references = pytest.mark.skipif(
    not COUNTS_ALL_REFERENCES, reason="Up to Python 3.13, with the GIL, a call counts as a reference to its arguments"
)
borrows_references = pytest.mark.skipif(
    COUNTS_ALL_REFERENCES, reason="From Python 3.14 on, or without the GIL, a call may borrow its arguments"
)
