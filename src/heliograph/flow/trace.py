"""The trace: the saves, sends, calls and queries of a block, printed as a tree with their times."""

from __future__ import annotations

import json
from typing import Any, Self

from heliograph.context.kept_context import current_context
from heliograph.dispatch.observed_events import OF_SENDS, Calling, PutOff
from heliograph.dispatch.scopes import Scope
from heliograph.flow.observed_database import Queried, Saving, of_saves_and_queries
from heliograph.flow.tree import Tree, tree_of
from heliograph.flow.tree_json import json_of
from heliograph.flow.tree_text import lines_of
from heliograph.outbox.events import Delivering
from heliograph.outbox.send.policy import Durable

_KEPT = frozenset((*OF_SENDS, Saving, Queried, Delivering))


class trace(Scope):
    """A context manager that keeps what happens in this thread or task; printed, it is the tree of calls.

        with trace() as flow:
            order.save()
        print(flow)

    The tree has the saves, the sends and the calls, each with its time and its queries; a receiver that was not called
    has the reason. A delivery names its cause: the send, which was perhaps made by another process. `events` has the
    events. `sql=True` prints the statements too. Sends of `pre_init`, `post_init` and `connection_created` that nobody
    receives are left out.
    """

    def __init__(self, *, sql: bool = False) -> None:
        self.events: list[Any] = []
        self.sql = sql
        self._holds: list[Any] = []
        self._traceparents: dict[int, str] = {}  # of the calls that workers make, by their numbers
        self._calling: dict[int, Calling] = {}  # the calls that have begun, by their numbers

    def __enter__(self) -> Self:
        self._holds.append(of_saves_and_queries.take())
        return super().__enter__()

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        self._holds.pop()

    def on_event(self, event: object) -> None:
        if type(event) in _KEPT:
            self.events.append(event)
        if isinstance(event, PutOff) and isinstance(event.policy, Durable):
            self._traceparents[event.number] = current_context.get().traceparent

    def around_call(self, call: Calling) -> None:
        self._calling[call.number] = call

    @property
    def tree(self) -> Tree:
        """The `Tree` of nodes, each with its event, its queries, and the nodes that it has caused."""
        ended = {event.number for event in self.events}
        calling = (call for number, call in self._calling.items() if number not in ended)
        return tree_of([*self.events, *calling], self._traceparents)

    def to_json(self, **options: Any) -> str:
        """Return the tree as JSON, without the values that were sent; options are those of `json.dumps()`."""
        return json.dumps(json_of(self.tree), **options)

    def __str__(self) -> str:
        return "\n".join(lines_of(self.tree, sql=self.sql)) or "No signal was sent."
