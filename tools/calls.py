"""The calls of a folder's functions that a run makes, as a tree."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

# The file, as Python has it, of a function that the dispatcher has written.
WRITTEN = "<generated send>"
COMPREHENSIONS = ("<genexpr>", "<listcomp>", "<setcomp>", "<dictcomp>")  # before Python 3.12, all of them were calls


@dataclass
class Step:
    """A function that was called, with the calls that it has made."""

    file: str
    line: int
    name: str
    is_change: bool = False  # whether a function of another file was called before
    times: int = 0
    steps: dict[tuple[str, int], Step] = field(default_factory=dict)

    def below(self, depth: int = 0) -> Iterator[tuple[int, Step]]:
        """Yield the steps below this one with their depths, in the order of their first calls."""
        for step in self.steps.values():
            yield depth, step
            yield from step.below(depth + 1)


@dataclass(frozen=True)
class Length:
    """The numbers of a tree: its calls, its changes of file, and its calls with those that were repeated."""

    calls: int
    changes: int
    repeated: int


def length(start: Step) -> Length:
    """Count the steps of a tree."""
    steps = [step for _, step in start.below()]
    return Length(len(steps), sum(step.is_change for step in steps), sum(step.times for step in steps))


def recorded(run: Callable[[], object], folder: Path) -> Step:
    """Run, and return the tree of the calls of functions whose file is in a folder."""
    recorder = Recorder(folder)
    sys.setprofile(recorder)
    try:
        run()
    finally:
        sys.setprofile(None)
    return recorder.start


class Recorder:
    """A function for `sys.setprofile` that makes the tree."""

    def __init__(self, folder: Path) -> None:
        self.start = Step("", 0, "")
        self._folder = f"{folder}/"
        self._steps: dict[FrameType, Step] = {}  # it holds the frames, or a new one could be taken for an old one
        self._last = ""  # the file of the last function that no function of the folder has called

    def __call__(self, frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame not in self._steps and self._is_counted(frame):
            self._steps[frame] = self._step(frame)

    def _is_counted(self, frame: FrameType) -> bool:
        code = frame.f_code
        return code.co_filename.startswith((self._folder, WRITTEN)) and code.co_name not in COMPREHENSIONS

    def _step(self, frame: FrameType) -> Step:
        code, caller = frame.f_code, self._caller(frame)
        file, line = code.co_filename.removeprefix(self._folder), code.co_firstlineno
        is_change = (caller.file or self._last or file) != file
        if caller is self.start:
            self._last = file
        step = caller.steps.setdefault((file, line), Step(file, line, code.co_qualname, is_change))
        step.times += 1
        return step

    def _caller(self, frame: FrameType) -> Step:
        above = frame.f_back
        while above is not None and above not in self._steps:
            above = above.f_back
        return self.start if above is None else self._steps[above]
