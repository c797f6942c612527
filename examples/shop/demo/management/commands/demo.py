"""The command that shows the shop at work."""

from argparse import ArgumentParser
from collections import deque
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.urls import reverse
from heliograph import observe, trace

from analytics import received
from demo import beginning, flow, progress, purchases, queries, report, server, workers
from demo.beside import BESIDE
from demo.deliveries import deliveries
from demo.queries import Meter
from demo.recording import Recorder, Recording
from demo.replay import ONE_BY_ONE, replay
from demo.workers import Work


class Command(BaseCommand):
    """Replays real purchases, reports what the signals did, checks every statistic and serves the shop's pages."""

    # A new database is created first; `migrate` then checks it, and everything else.
    requires_system_checks = ()
    help = "Replay real purchases through the shop, check every statistic that its signals keep, and serve its pages."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take what to replay, and whether and where to serve."""
        parser.add_argument("--data", type=Path, default=purchases.PATH, help="file of purchases (CDNOW's by default)")
        parser.add_argument("--check", action="store_true", help="stop after the checks; serve nothing")
        parser.add_argument("--kills", type=int, default=0, help="how many workers are killed while visitors act (0)")
        parser.add_argument("--again", action="store_true", help="serve what the last demonstration has left, as it is")
        parser.add_argument("--port", type=int, default=8000, help="port of the pages, or the next free one (8000)")

    def handle(self, *, again: bool, check: bool, port: int, **options: Any) -> None:
        """Replay, report, check, serve."""
        if not again:
            self._perform(**options)
        if not check:
            self._serve(port)

    def _perform(self, data: Path, kills: int, **options: Any) -> None:
        recording = self._replay(data)
        recording.save()
        self._report(recording)
        self._say("Checking every figure against the file")
        call_command("verify", data=data, stdout=self.stdout, stderr=self.stderr)
        self._say("\nLetting visitors use the other applications")
        call_command("traffic", kills=kills, stdout=self.stdout)
        self._say("Counting what the applications have promised, by SQL of its own")
        call_command("promises", stdout=self.stdout, stderr=self.stderr)

    def _replay(self, data: Path) -> Recording:
        recorder, meter, bought = Recorder(), Meter(), purchases.read(data)
        self._say("Opening a new shop")
        with observe(recorder):
            beginning.begin()
        self._say(f"Placing the first {ONE_BY_ONE} orders with receivers as tutorials have them; nothing of it stays")
        inline = queries.with_inline_receivers(bought)
        self._say(f"Replaying {data.name} through the shop, from the order {ONE_BY_ONE + 1} on a week at a time")
        start = perf_counter()
        with observe(recorder):
            placed = progress.track(replay(bought, meter.place), len(bought), "purchases", self.stdout)
            with trace() as first:
                next(placed, None)
            deque(placed, maxlen=0)
        return Recording(
            purchases=len(bought),
            seconds=perf_counter() - start,
            sends=recorder.sends(),
            flow=flow.steps(first),
            queries=queries.compare(inline, meter.taken),
            work=self._work(),
            deliveries=deliveries(),
        )

    def _work(self) -> Work:
        self._say(f"Making {workers.waiting():,} deliveries, with a worker that is killed half way and another")
        return workers.work(partial(progress.show, what="deliveries", out=self.stdout))

    def _say(self, text: str) -> None:
        """Say what comes next, at once."""
        self.stdout.write(text)
        self.stdout.flush()

    def _report(self, recording: Recording) -> None:
        work = recording.work
        for count, what, seconds in (
            (recording.purchases, "purchases", recording.seconds),
            (work.waiting, "deliveries", work.seconds),
        ):
            self.stdout.write(f"{count:,} {what} in {seconds:.1f} s, {count / seconds:,.0f} a second")
        self.stdout.write("\n" + "\n".join(report.deliveries(recording)) + "\n\n")
        self.stdout.write("\n".join(report.lines(recording)) + "\n\n")
        self.stdout.write("The first order\n" + "\n".join(report.flow(recording)) + "\n\n")
        self.stdout.write("\n".join(report.queries(recording)) + "\n\n")

    def _serve(self, port: int) -> None:
        with BESIDE.offered(), server.listen(port) as pages:
            address = f"http://{server.HOST}:{pages.server_port}"
            received.offer(f"{address}{reverse('analytics:receive')}")
            self.stdout.write(f"\nThe shop is at {address}/ - Ctrl-C ends it.")
            self.stdout.write(f"Eight applications to try are at {address}{reverse('pages:index')}")
            self.stdout.write(f"The deliveries, in the admin: {address}{reverse('deliveries')}")
            self.stdout.flush()
            try:
                pages.serve_forever()
            except KeyboardInterrupt:
                self.stdout.write("")
