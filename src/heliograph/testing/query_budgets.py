"""Query budgets: how many queries a call of a receiver may make."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from heliograph.dispatch import Called
from heliograph.dispatch.describe import full_name
from heliograph.flow.trace import trace
from heliograph.flow.tree import Node, Tree
from heliograph.testing.blocks import Block
from heliograph.testing.counted import failure
from heliograph.testing.matching import lines_of
from heliograph.testing.verified_arguments import verify_receiver

# pytest and unittest leave this module out of the traceback of a failed assertion.
__tracebackhide__ = __unittest = True


class max_queries(Block):  # noqa: N801 - it is used like a function
    """A context manager and decorator: no call of a receiver in the block makes more queries than `most`.

        with max_queries(index, 1):
            Order.objects.create()

    The queries of everything that the receiver causes count too, such as those of a save and its receivers. At the end
    of the block, AssertionError lists the queries; it is raised too if the receiver was not called at all. Calls in
    other threads do not count. It decorates async functions too.

    Raises TypeError for what is no receiver, and for another limit than a whole number.
    """

    def __init__(self, receiver: Callable[..., Any], most: int) -> None:
        verify_receiver(receiver, "max_queries()")
        if type(most) is not int or most < 0:
            raise TypeError(f"max_queries() takes the number of queries that a call may make, not {most!r}.")
        super().__init__()
        self._receiver, self._most = receiver, most

    def block(self) -> AbstractContextManager[None]:
        return _budget(self._receiver, self._most)


@contextmanager
def _budget(receiver: Callable[..., Any], most: int) -> Iterator[None]:
    with trace() as flow:
        yield
    calls = [*_calls(flow.tree, receiver)]
    if not calls:
        raise failure(f"{full_name(receiver)} was not called, so that its queries say nothing.", [])
    for call in calls:
        _verify(call, full_name(receiver), most)


def _calls(tree: Tree, receiver: Callable[..., Any]) -> Iterator[Node]:
    return (one for one in tree.nodes() if isinstance(one.event, Called) and one.event.receiver == receiver)


def _verify(call: Node, name: str, most: int) -> None:
    queries = call.all_queries
    if len(queries) > most:
        lines = lines_of([f"{query.using}: {' '.join(query.sql.split())}" for query in queries])
        raise failure(f"{name} has made more queries than {most}, namely {len(queries)}:", lines)
