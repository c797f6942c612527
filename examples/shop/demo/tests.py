"""The demonstration: what is replayed, and what is seen of it."""

import io
from pathlib import Path
from tempfile import TemporaryDirectory

from django.core.management.base import OutputWrapper
from django.test import SimpleTestCase, TestCase
from heliograph import observe, trace

from demo import flow, progress
from demo.purchases import Purchase, read
from demo.recording import Recorder, Recording
from demo.replay import replay

LINES = [f"00004 0001 199701{day:02}  2   29.33" for day in range(1, 3)]


class PurchaseTests(SimpleTestCase):
    def test_prices_add_up_to_the_value_to_the_cent(self):
        prices = Purchase.parse("00004 0001 19970101  3  29.33").prices()
        self.assertEqual(prices, [978, 978, 977])

    def test_a_line_that_is_no_purchase_is_named(self):
        with TemporaryDirectory() as folder:
            path = Path(folder, "broken.txt")
            path.write_text("00004 0001 19970101 2 29.33\n00004 0001 19970118 2\n")
            with self.assertRaisesMessage(ValueError, "Line 2 of broken.txt is no purchase: '00004 0001 19970118 2'"):
                read(path)


class ReplayTests(TestCase):
    def test_the_recorder_counts_sends_and_runs(self):
        recorder = Recorder()
        with observe(recorder):
            list(replay([Purchase.parse(line) for line in LINES]))
        sends = {sent.signal: sent for sent in recorder.sends()}
        placed = sends["store.signals.order_placed"]
        self.assertEqual(placed.times, 2)
        self.assertEqual([(runs.receiver, runs.times) for runs in placed.runs][-1], ("activity.receivers.log_order", 2))
        self.assertRegex(placed.runs[-1].place, r"^activity/receivers\.py:\d+$")

    def test_the_flow_shows_an_effect_below_its_cause(self):
        with trace() as traced:
            list(replay([Purchase.parse(LINES[0])]))
        steps = [(step.depth, step.text) for step in flow.steps(traced.events)]
        at = steps.index((0, "store.signals.order_placed from Order"))
        self.assertEqual(steps[at + 1], (1, "analytics.receivers.add_order"))

    def test_a_recording_is_kept_as_it_was(self):
        recorder = Recorder()
        with observe(recorder), trace() as traced:
            list(replay([Purchase.parse(LINES[0])]))
        recording = Recording(1, 0.5, recorder.sends(), flow.steps(traced.events))
        with TemporaryDirectory() as folder:
            recording.save(Path(folder, "replay.json"))
            self.assertEqual(Recording.load(Path(folder, "replay.json")), recording)

    def test_the_page_of_the_signals_answers_before_the_first_replay(self):
        self.assertContains(self.client.get("/signals/"), "Signals")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class ProgressTests(SimpleTestCase):
    def test_a_terminal_shows_a_bar(self):
        out = Terminal()
        list(progress.track(range(4), 4, OutputWrapper(out)))
        self.assertEqual(out.getvalue().split("\r")[2], f"  {'█' * 20}{'░' * 20}  50%  2 of 4 purchases")

    def test_a_file_gets_a_line_for_every_tenth(self):
        out = io.StringIO()
        list(progress.track(range(1000), 1000, OutputWrapper(out)))
        self.assertEqual(len(out.getvalue().splitlines()), 10)
