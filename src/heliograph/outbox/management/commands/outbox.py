"""The command `outbox`: it runs a worker, and looks after deliveries."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import Error
from django.db.models import QuerySet

from heliograph.command_verbs import escaping
from heliograph.outbox.counting import counted
from heliograph.outbox.database_checks import check_databases
from heliograph.outbox.installed_tables import is_migrated, not_migrated
from heliograph.outbox.manage import operations, showing
from heliograph.outbox.manage.commandline import add_verbs
from heliograph.outbox.manage.performing import STATES, perform, request, stop, unfinished
from heliograph.outbox.manage.reporting import report
from heliograph.outbox.manage.selecting import look_at
from heliograph.outbox.models import Delivery, Operation, State, Verb
from heliograph.outbox.worker import DeadThreadError, NotMigratedError, Worker

# After how many deliveries it says how far it is.
STEP = 10_000


class Command(BaseCommand):
    """Run a worker, or look after deliveries."""

    help = "Runs a worker that makes the deliveries of the outbox, shows how they are doing, or changes some of them."

    def add_arguments(self, parser: CommandParser) -> None:
        add_verbs(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with escaping(self.stdout):
                getattr(self, f"_{options['verb']}")(options)
        except Error as error:
            if _is_migrated(options["database"]):
                raise
            raise CommandError(not_migrated(options["database"])) from error

    def _run(self, options: dict[str, Any]) -> None:
        for message in check_databases(None, databases=[options["database"]]):
            if not message.is_silenced():
                self.stderr.write(str(message))
        worker = Worker(options["database"], options["queue"] or None, options["concurrency"], options["grace"])
        with _shown_log(options["verbosity"]):
            try:
                worker.run(drain=options["drain"])
            except (NotMigratedError, DeadThreadError) as error:
                raise CommandError(str(error)) from None

    def _status(self, options: dict[str, Any]) -> None:
        found, under_way = report(options["database"]), unfinished(options["database"]).defer("ids")
        problems = [*found.problems(options["max_age"], options["max_running"])]
        if options["json"]:
            self.stdout.write(showing.as_json(found, under_way, problems))
        else:
            self.stdout.write("\n".join([*showing.table(found), *map(showing.line_of, under_way)]))
        if problems:
            raise CommandError(f"Look after {found.using!r}: {'; '.join(problems)}.", returncode=1)

    def _redeliver(self, options: dict[str, Any]) -> None:
        self._operate(options, Verb.REDELIVER)

    def _discard(self, options: dict[str, Any]) -> None:
        if not any(options[name] for name in ("id", "queue", "receiver", "state", "older_than", "all")):
            raise CommandError("Say what to discard: --id, --queue, --receiver, --state, --older-than, or --all.")
        self._operate(options, Verb.DISCARD)

    def _prune(self, options: dict[str, Any]) -> None:
        if options["id"] or options["state"] or options["older_than"] is not None:
            states = options["state"] or (operations.PRUNABLE if options["id"] else options["default_states"])
            chosen = self._chosen(options, states, operations.PRUNABLE)
        else:
            chosen = [_narrowed(old, options) for old in operations.expired(options["database"])]
        self._change(options, chosen, operations.delete, "Pruned")

    def _chosen(self, options: dict[str, Any], states: Sequence[str], allowed: Sequence[str]) -> list[Any]:
        """Return the deliveries that the options name: one query, or one for each chunk of the ids."""
        ids = sorted({*options["id"]})
        self._verify(ids, options["database"], states, allowed)
        chosen = partial(operations.select, options["database"], states, older_than=options["older_than"])
        found = [chosen(ids=some) for some in operations.chunks(ids)] if ids else [chosen()]
        return [_narrowed(deliveries, options) for deliveries in found]

    def _verify(self, ids: Sequence[int], using: str, states: Sequence[str], allowed: Sequence[str]) -> None:
        """Raise CommandError for ids that there are not, and say which deliveries stay as they are."""
        found = operations.states_of(using, ids)
        missing = [number for number in ids if number not in found]
        if missing:
            raise CommandError(f"There is no delivery {showing.numbers(missing)} on {using!r}.")
        for state in State:
            staying = [number for number in ids if found[number] == state] if state not in states else []
            if staying:
                self.stderr.write(showing.staying(staying, state, is_possible=state in allowed))

    # --- redeliver and discard --------------------------------------------------------------------------------

    def _operate(self, options: dict[str, Any], verb: Verb) -> None:
        states = options["state"] or options["default_states"]
        selection = look_at(options["database"], self._chosen(options, states, STATES[verb]))
        count = selection.count()
        if options["dry_run"] or (count and options["verbosity"]):
            wording = "Would" if options["dry_run"] else "About to"
            self.stdout.write(f"{wording} {verb} {counted(count)}{':' if count else '.'}")
            self.stdout.write("".join(f"{line}\n" for line in showing.groups_of(selection)), ending="")
        if options["dry_run"]:
            return
        if count and options["interactive"]:
            _ask(verb, count)
        self._perform(
            request(selection, verb, states, by=f"manage.py outbox {verb}", reason=options["reason"]), options
        )

    def _perform(self, operation: Operation, options: dict[str, Any]) -> None:
        done = operation.verbed.capitalize()
        progress = self._progress(done) if options["verbosity"] else lambda total: None
        try:
            perform(operation, progress=lambda step: progress(step.changed))
        except KeyboardInterrupt:
            stop(operation)
            raise CommandError(f"Stopped. {done} {counted(operation.changed)}.", returncode=130) from None
        self.stdout.write(f"{done} {counted(operation.changed)}.")
        if left := operation.done - operation.changed:
            self.stderr.write(f"{counted(left).capitalize()} stayed: a worker or somebody else was faster.")

    def _change(
        self, options: dict[str, Any], chosen: Sequence[QuerySet[Delivery]], change: Callable[..., int], done: str
    ) -> None:
        if options["dry_run"]:
            self.stdout.write("\n".join(showing.plan(options["verb"], chosen)))
            return
        progress = self._progress(done) if options["verbosity"] else lambda total: None
        count = 0
        for deliveries in chosen:
            before = count
            count += change(deliveries, progress=lambda total, before=before: progress(before + total))
        self.stdout.write(f"{done} {counted(count)}.")

    def _progress(self, done: str) -> operations.Progress:
        shown = 0

        def progress(total: int) -> None:
            nonlocal shown
            if total >= shown + STEP:
                self.stdout.write(f"{done} {counted(total)} so far.")
                shown = total

        return progress


def _ask(verb: Verb, count: int) -> None:
    """Raise CommandError unless somebody answers that it is meant."""
    if not sys.stdin.isatty():
        raise CommandError(f"There is nobody to ask whether to {verb} {counted(count)}: use --noinput.")
    if input(f"Do you want to {verb} {counted(count)}? [y/N] ").strip().lower() not in ("y", "yes"):
        raise CommandError(f"Nothing was {verb}ed.")


def _narrowed(deliveries: QuerySet[Delivery], options: dict[str, Any]) -> QuerySet[Delivery]:
    return deliveries.filter(**{f"{name}__in": options[name] for name in ("queue", "receiver") if options[name]})


def _is_migrated(using: str) -> bool:
    try:
        return is_migrated(using)
    except Error:
        return True  # the database does not answer, which the error has said


@contextmanager
def _shown_log(verbosity: int) -> Iterator[None]:
    """Show what the worker logs, if the settings show it nowhere."""
    logger = logging.getLogger("heliograph.outbox")
    if logger.hasHandlers() or not verbosity:
        yield
        return
    handler, level = logging.StreamHandler(), logger.level
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
