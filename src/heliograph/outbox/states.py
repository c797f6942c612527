"""A condition on the state of a delivery for which databases use their partial indexes."""

from __future__ import annotations

from typing import Any

from django.db.models import F, Lookup


class InStates(Lookup):
    """Whether a delivery is in one of these states, which are literals in the SQL, not parameters.

    SQLite uses a partial index only if the query has the same literals as the condition of the index.
    """

    prepare_rhs = False

    def __init__(self, *states: str) -> None:
        super().__init__(F("state"), states)

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        column, parameters = self.process_lhs(compiler, connection)
        literals = ", ".join(f"'{state}'" for state in self.rhs)
        return f"{column} = {literals}" if len(self.rhs) == 1 else f"{column} IN ({literals})", parameters
