"""A recording as text."""

from collections.abc import Iterator

from demo.recording import Recording, Runs


def lines(recording: Recording) -> Iterator[str]:
    """Yield the report line by line: a signal, its sends, and below it every receiver that ran."""
    width = max((len(runs.receiver) for sends in recording.heard for runs in sends.runs), default=0)
    yield f"{'signals and their receivers':{width + 2}} {'times':>9} {'total ms':>10} {'mean ms':>8}"
    for sends in recording.heard:
        yield f"{sends.signal:{width + 2}} {sends.times:9,}"
        yield from (_line(runs, width) for runs in sends.runs)
    yield f"sent, and received by nobody: {_unheard(recording)}"


def flow(recording: Recording) -> Iterator[str]:
    """Yield what the first order caused line by line, causes above and left of their effects."""
    for step in recording.flow:
        time = f"  {step.seconds * 1000:.2f} ms" if step.seconds is not None else ""
        yield f"{'  ' * step.depth}{step.text}{time}"


def _line(runs: Runs, width: int) -> str:
    times = f"{runs.times:9,} {runs.seconds * 1000:10,.1f} {runs.mean * 1000:8.3f}"
    return f"  {runs.receiver:{width}} {times}  {runs.place}"


def _unheard(recording: Recording) -> str:
    return ", ".join(f"{sends.signal} ({sends.times:,})" for sends in recording.unheard) or "nothing"
