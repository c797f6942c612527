"""Relations: the managers of a many-to-many relation, and their methods that change it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import wraps
from typing import Any

from django.db.models.fields.related_descriptors import ManyToManyDescriptor

from heliograph.orm.steps import Method, Proceed


def _get_manager(inner: Proceed, steps: Sequence[Callable[[Any], None]]) -> Proceed:
    (prepare,) = steps

    @wraps(inner)
    def __get__(self: Any, instance: Any, cls: Any = None) -> Any:  # noqa: N807 - that is its name
        manager = inner(self, instance, cls)
        if instance is not None:
            prepare(manager)
        return manager

    return __get__


# Its step is called with each new manager. Django makes the class of managers anew for each relation, and a manager for
# each access, so there is no class whose methods could be replaced.
get_manager = Method("__get__", ("as_one",), _get_manager, ManyToManyDescriptor, are_around=False)

_CHANGES = ("add", "remove", "clear", "set", "set_base")  # Django 5.2 and 6.0 have no set_base()


def run_changes_in(block: Callable[[bool], AbstractContextManager[Any]], manager: Any) -> None:
    """Run each method of a manager that changes its relation in a block, which is made with the argument `raw`."""
    for name in _CHANGES:
        method = getattr(manager, name, None)
        if method is not None:
            setattr(manager, name, _in_block(block, method))


def _in_block(block: Callable[[bool], AbstractContextManager[Any]], method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def change(*args: Any, **kwargs: Any) -> Any:
        with block(kwargs.get("raw", False)):
            return method(*args, **kwargs)

    return change
