"""Interleaved rounds, of which the best one counts."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, partial
from itertools import repeat
from math import inf
from time import perf_counter
from types import FunctionType
from typing import Any

from benchmarks.facts import Candidate

Call = Callable[[], object]
AsyncCall = Callable[[], Coroutine[Any, Any, object]]

ROUND_SECONDS = 0.0005


def interleaved(candidates: Sequence[Candidate]) -> dict[str, float]:
    """Return the best round of each candidate; noise of the machine hits all of them, since they take turns."""
    best = {candidate.name: inf for candidate in candidates}
    with collecting_nothing():
        loops = {candidate.name: candidate.loops or _filling(candidate) for candidate in candidates}
        for candidate in _turns(candidates):
            best[candidate.name] = min(best[candidate.name], candidate.run(loops[candidate.name]))
    return best


def _turns(candidates: Sequence[Candidate]) -> Iterator[Candidate]:
    """Yield the candidates round by round; one with fewer rounds drops out earlier."""
    for number in range(max(candidate.rounds for candidate in candidates)):
        yield from (candidate for candidate in candidates if number < candidate.rounds)


def _filling(candidate: Candidate) -> int:
    """Return how many times fill a round, from a first one that also warms the candidate up."""
    candidate.run(50)
    return max(1, int(ROUND_SECONDS / candidate.run(50)))


@contextmanager
def collecting_nothing() -> Iterator[None]:
    """Keep garbage collection from running in the middle of a round."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


# --- ways of making a candidate -------------------------------------------------------------------------------


def repeated(name: str, call: Call, rounds: int = 300, keeps: object = None) -> Candidate:
    """Return a candidate that is called over and over."""
    return Candidate(name, partial(_copy(_loop), _copy(call)), rounds, keeps=keeps)


def repeated_async(name: str, call: AsyncCall, keeps: object = None) -> Candidate:
    """Return a candidate that is awaited over and over, in one event loop for all."""
    return Candidate(name, partial(_run_async, _copy(_async_loop), _copy(call)), rounds=200, keeps=keeps)


def once(name: str, prepare: Callable[[], Call], rounds: int, times: int = 1) -> Candidate:
    """Return a candidate that is prepared anew for each round, and done once; the result is for one of `times`."""
    return Candidate(name, partial(_once, prepare, times), rounds, loops=1)


def _loop(call: Call, loops: int) -> float:
    start = perf_counter()
    for _ in repeat(None, loops):
        call()
    return (perf_counter() - start) / loops


async def _async_loop(call: AsyncCall, loops: int) -> float:
    start = perf_counter()
    for _ in repeat(None, loops):
        await call()
    return (perf_counter() - start) / loops


def _run_async(loop: Callable[[AsyncCall, int], Coroutine[Any, Any, float]], call: AsyncCall, loops: int) -> float:
    return _runner().run(loop(call, loops))


@cache
def _runner() -> asyncio.Runner:
    return asyncio.Runner(debug=False)


def _once(prepare: Callable[[], Call], times: int, loops: int) -> float:
    call = prepare()
    start = perf_counter()
    call()
    return (perf_counter() - start) / times


def _copy(function: Any) -> Any:
    """Return the function with code of its own: the interpreter adapts code to what it has seen it do before."""
    code = function.__code__.replace()
    return FunctionType(code, function.__globals__, function.__name__, function.__defaults__, function.__closure__)
