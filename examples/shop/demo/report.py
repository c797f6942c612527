"""A recording as text."""

from collections.abc import Iterator

from django.template.defaultfilters import pluralize

from demo.deliveries import Deliveries
from demo.queries import Queries
from demo.recording import Recording, Runs


def lines(recording: Recording) -> Iterator[str]:
    """Yield the report line by line: a signal, its sends, and below it every receiver that ran."""
    width = max((len(runs.receiver) for sends in recording.received for runs in sends.runs), default=0)
    yield f"{'signals and their receivers':{width + 2}} {'times':>9} {'total ms':>10} {'mean ms':>8}"
    for sends in recording.received:
        yield f"{sends.signal:{width + 2}} {sends.times:9,}"
        yield from (_line(runs, width) for runs in sends.runs)
    yield f"sent, and received by nobody: {_unreceived(recording)}"


def flow(recording: Recording) -> Iterator[str]:
    """Yield what the first order caused line by line, causes above and left of their effects."""
    for step in recording.flow:
        time = f"  {step.seconds * 1000:.2f} ms" if step.seconds is not None else ""
        yield f"{'  ' * step.depth}{step.text}{time}"


def queries(recording: Recording) -> Iterator[str]:
    """Yield a table of the queries of an order, one line for each size of orders, and one for all of them."""
    yield f"{'queries to place an order':27} {'orders':>6} {'inline, for each item':>22} {'once a transaction':>19}"
    for of_size in recording.queries:
        yield _queries(f"of {of_size.cds} CD{pluralize(of_size.cds)}", of_size)
    yield _queries("on average", recording.queries_in_all)


def deliveries(recording: Recording) -> Iterator[str]:
    """Yield what workers made of the deliveries, one line for each receiver, and what became of the first worker."""
    width = max((len(of_one.receiver) for of_one in recording.deliveries), default=0)
    head = f"{'made':>9} {'discarded':>10} {'dead':>5} {'attempts':>9} {'of each':>8}"
    yield f"{'receivers in a worker':{width + 2}} {head}  failed"
    yield from (_deliveries(of_one, width) for of_one in recording.deliveries)
    work = recording.work
    yield f"killed half way: a worker, after {work.made:,} of {work.waiting:,} and with {work.held:,} in its hands"


def _deliveries(of_one: Deliveries, width: int) -> str:
    each = f"{of_one.fewest} to {of_one.most}"
    numbers = f"{of_one.made:9,} {of_one.discarded:10,} {of_one.dead:5,} {of_one.attempts:9,} {each:>8}"
    failed = ", ".join(f"{count:,} {error}" for error, count in of_one.errors.items())
    return f"  {of_one.receiver:{width}} {numbers}  {failed}".rstrip()


def _queries(name: str, of_size: Queries) -> str:
    inline, once = of_size.inline / of_size.orders, of_size.once / of_size.orders
    return f"  {name:25} {of_size.orders:6,} {inline:22.1f} {once:19.1f}"


def _line(runs: Runs, width: int) -> str:
    times = f"{runs.times:9,} {runs.seconds * 1000:10,.1f} {runs.mean * 1000:8.3f}"
    return f"  {runs.receiver:{width}} {times}  {runs.place}"


def _unreceived(recording: Recording) -> str:
    return ", ".join(f"{sends.signal} ({sends.times:,})" for sends in recording.unreceived) or "nothing"
