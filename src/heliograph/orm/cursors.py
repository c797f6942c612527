"""Cursors: the method of Django through which each statement goes."""

from __future__ import annotations

from functools import wraps
from typing import Any

from django.db.backends.utils import CursorWrapper

from heliograph.orm.steps import Method, Proceed


def _execute(inner: Proceed, run: Proceed) -> Proceed:
    @wraps(inner)
    def _execute(self: Any, sql: Any, *args: Any) -> Any:
        return run(self, sql, *args)

    return _execute


execute = Method("_execute", ("watch_search_path",), _execute, CursorWrapper)
