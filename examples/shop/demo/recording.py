"""What was sent during the replay, and which receivers ran."""

import inspect
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self

from django.conf import settings
from heliograph import Signal
from heliograph.dispatch import Called, Sent

from demo.deliveries import Deliveries
from demo.flow import Step, name_of
from demo.queries import Queries, in_all
from demo.workers import Work

PATH = settings.DATA_DIR / "replay.json"


@dataclass(frozen=True)
class Runs:
    """How often a receiver ran on a signal, and how long, with everything that it caused."""

    receiver: str
    place: str
    times: int
    seconds: float

    @property
    def mean(self) -> float:
        """The seconds of one run."""
        return self.seconds / self.times


@dataclass(frozen=True)
class Sends:
    """How often a signal was sent, and who received it."""

    signal: str
    times: int
    runs: tuple[Runs, ...]

    @property
    def seconds(self) -> float:
        """The seconds that its receivers took."""
        return sum(runs.seconds for runs in self.runs)


@dataclass(frozen=True)
class Recording:
    """A replay: how many purchases in how many seconds, what these sent and queried, and what workers made of it."""

    purchases: int
    seconds: float
    sends: tuple[Sends, ...]
    flow: tuple[Step, ...]
    queries: tuple[Queries, ...]
    work: Work
    deliveries: tuple[Deliveries, ...]

    @property
    def received(self) -> list[Sends]:
        """The signals that somebody received."""
        return [sends for sends in self.sends if sends.runs]

    @property
    def unreceived(self) -> list[Sends]:
        """The signals that nobody received."""
        return [sends for sends in self.sends if not sends.runs]

    @property
    def sent(self) -> int:
        """How often signals were sent."""
        return sum(sends.times for sends in self.sends)

    @property
    def runs(self) -> int:
        """How often receivers ran."""
        return sum(runs.times for sends in self.sends for runs in sends.runs)

    @property
    def slowest(self) -> float:
        """The seconds of the receiver that took longest."""
        return max((runs.seconds for sends in self.sends for runs in sends.runs), default=0)

    @property
    def queries_in_all(self) -> Queries:
        """The queries of the orders of all sizes."""
        return in_all(self.queries)

    def save(self, path: Path = PATH) -> None:
        """Keep the recording for the page that shows it."""
        path.write_text(json.dumps(asdict(self), indent=1), encoding="utf-8")

    @classmethod
    def load(cls, path: Path = PATH) -> Self | None:
        """Return the recording that was kept, or None before the first replay."""
        if not path.exists():
            return None
        saved = json.loads(path.read_text(encoding="utf-8"))
        sends = (Sends(**sent | {"runs": tuple(Runs(**runs) for runs in sent["runs"])}) for sent in saved["sends"])
        flow = (Step(**step) for step in saved["flow"])
        queries = (Queries(**of_size) for of_size in saved["queries"])
        work = Work(**saved["work"])
        deliveries = (Deliveries(**of_receiver) for of_receiver in saved["deliveries"])
        parts = map(tuple, (sends, flow, queries))
        return cls(saved["purchases"], saved["seconds"], *parts, work, tuple(deliveries))


class Recorder:
    """Counts what `heliograph.dispatch.observe` calls it with."""

    def __init__(self) -> None:
        self._sends: Counter[Signal] = Counter()
        self._seconds: defaultdict[Signal, defaultdict[Callable[..., Any], list[float]]]
        self._seconds = defaultdict(lambda: defaultdict(list))

    def __call__(self, event: object) -> None:
        """Take one event."""
        match event:
            case Sent(signal=signal):
                self._sends[signal] += 1
            case Called(signal=signal, receiver=receiver, seconds=seconds):
                self._seconds[signal][receiver].append(seconds)

    def sends(self) -> tuple[Sends, ...]:
        """Return what was counted, the signals that took longest first."""
        counted = (Sends(signal.name, times, tuple(self._runs(signal))) for signal, times in self._sends.items())
        return tuple(sorted(counted, key=lambda sends: (-sends.seconds, sends.signal)))

    def _runs(self, signal: Signal) -> Iterator[Runs]:
        for receiver, seconds in self._seconds[signal].items():
            yield Runs(name_of(receiver), _place(receiver), len(seconds), sum(seconds))


def _place(receiver: Callable[..., Any]) -> str:
    """Return `store/receivers.py:27`: the path as it is imported, so that it says the same on every machine."""
    function = inspect.unwrap(receiver)
    while isinstance(function, partial):
        function = inspect.unwrap(function.func)
    code = getattr(function, "__code__", None) or type(function).__call__.__code__
    path = Path(code.co_filename)
    roots = [Path(entry) for entry in sys.path if entry and path.is_relative_to(entry)]
    shortest = min((path.relative_to(root).as_posix() for root in roots), key=len, default=path.name)
    return f"{shortest}:{code.co_firstlineno}"
