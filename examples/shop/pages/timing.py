"""How long the last requests of this process have taken."""

from collections import deque
from statistics import quantiles


class Times:
    """The seconds of the last requests, and how many requests have failed."""

    def __init__(self, most: int = 500) -> None:
        self.exceptions = 0
        self._seconds: deque[float] = deque(maxlen=most)

    def add(self, seconds: float) -> None:
        """Add a request that has taken so many seconds."""
        self._seconds.append(seconds)

    @property
    def count(self) -> int:
        """How many requests are kept."""
        return len(self._seconds)

    @property
    def median(self) -> float:
        """The seconds that half of the requests have not exceeded; 0 before the first two."""
        return self._percentile(50)

    @property
    def slow(self) -> float:
        """The seconds that 95 of 100 requests have not exceeded; 0 before the first two."""
        return self._percentile(95)

    def _percentile(self, percent: int) -> float:
        seconds = list(self._seconds)
        return quantiles(seconds, n=100)[percent - 1] if len(seconds) > 1 else 0.0


TIMES = Times()
