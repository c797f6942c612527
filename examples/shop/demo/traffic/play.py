"""The play of random visitors: the same ones for the same seed."""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from itertools import chain
from random import Random

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import ProtectedError
from heliograph.context import acting

from demo.traffic import analytics, blog, bookstore, comments, courses, onboarding, payments

APPLICATIONS = (onboarding, bookstore, courses, blog, comments, analytics, payments)
ROLLED_BACK = 0.1  # of all actions
REFUSED = (ValidationError, ProtectedError, IntegrityError)  # what an application may answer to a visitor


class ChangedTheirMindError(Exception):
    """A visitor leaves in the middle of a transaction."""


def play(actions: int, seed: int) -> Iterator[str]:
    """Open the applications, let random visitors act so often, and yield what became of each action.

    Half of the actions are transactions, and half write without one; one in ten is rolled back at its end.
    """
    random = Random(seed)
    with acting("traffic", reason="the opening"):
        for application in APPLICATIONS:
            application.open_it(random)
    possible = list(chain.from_iterable(application.ACTIONS for application in APPLICATIONS))
    for _ in range(actions):
        action = random.choice(possible)
        with acting("traffic", reason=action.__doc__):
            yield _outcome(action, random)


def _outcome(action: Callable[[Random], object], random: Random) -> str:
    leaves, block = random.random() < ROLLED_BACK, random.random() < 0.5
    try:
        with transaction.atomic() if leaves or block else nullcontext():
            action(random)
            if leaves:
                raise ChangedTheirMindError
    except ChangedTheirMindError:
        return "rolled back"
    except REFUSED:
        return "refused"
    return "done"
