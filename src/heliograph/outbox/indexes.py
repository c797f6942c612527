"""An index of the rows in some of the states."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import models


class StateIndex(models.Index):
    """An index of the rows in these states; of all rows, with the state first, if a database has no partial indexes.

    So millions of finished rows do not slow down the search for those that wait.
    """

    def __init__(self, *, states: Sequence[str], fields: Sequence[str], name: str, filled: str = "") -> None:
        super().__init__(fields=fields, name=name)
        self.states = tuple(states)
        self.filled = filled  # a text field: rows where it is empty are left out

    def deconstruct(self) -> Any:
        path, arguments, options = super().deconstruct()
        return path, arguments, {**options, "states": self.states, "filled": self.filled}

    def create_sql(self, model: Any, schema_editor: Any, using: str = "", **options: Any) -> Any:
        if schema_editor.connection.features.supports_partial_indexes:
            # SQLite uses the index if this condition has the same text as the condition of a query.
            one = len(self.states) == 1
            condition = models.Q(state=self.states[0]) if one else models.Q(state__in=self.states)
            if self.filled:
                condition &= ~models.Q(**{self.filled: ""})
            index = models.Index(fields=self.fields, name=self.name, condition=condition)
        else:
            index = models.Index(fields=("state", *self.fields), name=self.name)
        return index.create_sql(model, schema_editor, using, **options)
