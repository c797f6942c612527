"""Helpers that the tests of the applications share."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

from django.db import connection
from django.test import override_settings


class FilesInMemory:
    """Keeps the files that a test stores in memory: each test begins without any."""

    def setUp(self) -> None:
        """Begin with an empty storage."""
        super().setUp()
        in_memory = {"BACKEND": "django.core.files.storage.InMemoryStorage"}
        static = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
        self.enterContext(override_settings(STORAGES={"default": in_memory, "staticfiles": static}))


@contextmanager
def after_looking(table: str, act: Callable[[], Any], looks: int = 1) -> Iterator[None]:
    """Act once in the block, right after it has looked so often for a row of the table: as another click does."""
    found = count(1)

    def execute(run: Callable[..., Any], sql: str, *arguments: Any) -> Any:
        result = run(sql, *arguments)
        if sql.startswith("SELECT") and f'FROM "{table}"' in sql and next(found) == looks:
            act()
        return result

    with connection.execute_wrapper(execute):
        yield
