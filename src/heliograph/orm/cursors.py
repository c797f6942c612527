"""Cursors: the methods of Django through which each statement goes."""

from __future__ import annotations

from functools import wraps
from typing import Any

from django.db.backends.utils import CursorWrapper

from heliograph.orm.steps import Method, Proceed


def _statement(inner: Proceed, run: Proceed) -> Proceed:
    @wraps(inner)
    def execute(self: Any, sql: Any, *args: Any) -> Any:
        return run(self, sql, *args)

    return execute


execute = Method("_execute", ("rehearse", "observe", "record_effects", "watch_search_path"), _statement, CursorWrapper)
execute_many = Method("_executemany", ("rehearse", "observe", "record_effects"), _statement, CursorWrapper)
