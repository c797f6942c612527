"""The command that lets random visitors use the applications, and kills workers meanwhile."""

from argparse import ArgumentParser
from collections import Counter
from random import Random
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from analytics import reports
from demo import kills as killing
from demo import workers
from demo.deliveries import deliveries
from demo.traffic.play import play
from mailing.models import Mail

# What the names of their receivers begin with: applications, and recipes that these declare.
APPLICATIONS = (
    *("analytics.", "blog.", "bookstore.", "comments.", "courses."),
    *("heliograph.", "onboarding.", "payments."),
)


class Command(BaseCommand):
    """Opens the applications, lets random visitors use them, and makes the deliveries that they have caused."""

    help = "Open the applications in a new database, and let random visitors use them."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take how much is done, and which visitors there are."""
        parser.add_argument("--actions", type=int, default=400, help="how many actions (400)")
        parser.add_argument("--seed", type=int, default=22, help="which visitors: the same number, the same ones (22)")
        parser.add_argument("--kills", type=int, default=0, help="how often a worker is killed meanwhile (0)")

    def handle(self, *, actions: int, seed: int, kills: int, **options: Any) -> None:
        """Play, let workers make the deliveries, and say what became of all of it."""
        each = actions // max(kills, 1)
        outcomes = Counter(killing.meanwhile(play(actions, seed), each, kills, Random(seed)))
        reports.close([timezone.localdate()])
        workers.finish()
        became = ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items()))
        counted = deliveries(APPLICATIONS)
        made = sum(of_one.made for of_one in counted)
        self.stdout.write(f"{actions} actions of visitors: {became}; {made} deliveries made")
        if kills:
            lost = sum(of_one.errors.get("LostWorkerError", 0) for of_one in counted)
            self.stdout.write(f"{kills} workers killed, in the middle of {lost} deliveries; {again()} mails sent again")


def again() -> int:
    """Return how many mails have the Message-ID of an earlier one: a worker was killed before it could record them."""
    mails = Mail.objects.exclude(message_id="")
    return mails.count() - mails.values("message_id").distinct().count()
