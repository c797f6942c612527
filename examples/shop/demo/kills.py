"""Workers that are killed at random, one after the other, while visitors act."""

import time
from collections.abc import Iterator
from itertools import islice
from random import Random

from demo import workers

MOST = 4  # deliveries that a worker finishes before it is killed
LONGEST = 0.02  # seconds from the last of these to the kill, which so comes in the middle of the next one


def meanwhile(outcomes: Iterator[str], each: int, kills: int, random: Random) -> Iterator[str]:
    """Yield all outcomes of the visitors; a worker is killed after each so many of them, until enough were killed."""
    for _ in range(kills):
        with workers.worker() as worker:
            yield from islice(outcomes, each)
            workers.follow_to_the_end(worker, most=random.randint(1, MOST))
            time.sleep(random.uniform(0, LONGEST))  # so that the kill comes at any point of a call
            worker.kill()
    yield from outcomes
