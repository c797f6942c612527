"""The table of deliveries."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models

from heliograph.bulk.audience import silence
from heliograph.outbox.counting import counted
from heliograph.outbox.fields import NameField
from heliograph.outbox.indexes import StateIndex
from heliograph.outbox.readable import events_in


class State(models.TextChoices):
    """The state of a delivery."""

    READY = "READY", "ready"
    RUNNING = "RUNNING", "running"
    SUCCESSFUL = "SUCCESSFUL", "successful"
    DEAD = "DEAD", "dead"
    DISCARDED = "DISCARDED", "discarded"


UNFINISHED = (State.READY.value, State.RUNNING.value)
FINISHED = (State.SUCCESSFUL.value, State.DEAD.value, State.DISCARDED.value)


class Delivery(models.Model):
    """The row of one stored call: a receiver that was sent something in a transaction, for a worker to call.

    For queries: `state` ("READY", "RUNNING", "SUCCESSFUL", "DEAD" or "DISCARDED"), `backend`, `queue`, `receiver` (its
    module and name), `signal`, `sender`, `key`, `attempts` (how many have begun), `worker`, `error` and `traceback` (of
    the last attempt), and the times `due_at`, `created_at`, `claimed_at`, `leased_until` and `finished_at`, by the
    clock of the database.
    """

    id: models.BigAutoField[Any, Any] = models.BigAutoField(primary_key=True)
    backend = NameField(max_length=64, help_text="Whose workers make the call: an alias of HELIOGRAPH_OUTBOX.")
    queue = NameField(max_length=64)
    receiver = NameField(max_length=255, help_text="The receiver's module and name.")
    signal = models.CharField(max_length=255, blank=True)
    sender = models.CharField(max_length=255, blank=True)
    key = NameField(max_length=255, blank=True, help_text="Those of a receiver with one key run one by one.")
    state = models.CharField(max_length=10, choices=State.choices)
    payload = models.TextField(help_text="What was sent, as JSON.")
    context = models.TextField(blank=True, default="", db_default="", help_text="Who has caused it, and why, as JSON.")
    attempts = models.PositiveSmallIntegerField(default=0, help_text="How many have begun.")
    due_at = models.DateTimeField(help_text="When the next attempt may begin.")
    created_at = models.DateTimeField()
    claimed_at = models.DateTimeField(null=True, blank=True, help_text="When the last attempt was taken by a worker.")
    leased_until = models.DateTimeField(null=True, blank=True, help_text="Until when nobody else may take it.")
    finished_at = models.DateTimeField(null=True, blank=True)
    worker = NameField(max_length=128, blank=True)
    error = models.TextField(blank=True, help_text="The last error, or why it was discarded.")
    traceback = models.TextField(blank=True)
    history = models.TextField(blank=True, help_text="The attempts that failed, each a line of JSON.")

    class Meta:
        ordering: ClassVar = ["id"]
        verbose_name_plural = "deliveries"
        # A delivery is written by its send and nobody else; what may be done to one has a permission of its own.
        default_permissions = ("view",)
        permissions: ClassVar = [
            ("redeliver_delivery", "Can redeliver deliveries"),
            ("discard_delivery", "Can discard deliveries"),
        ]
        indexes: ClassVar = [
            StateIndex(states=["READY"], fields=["backend", "due_at", "id"], name="heliograph_outbox_due"),
            StateIndex(states=["READY"], fields=["backend", "queue", "due_at", "id"], name="heliograph_outbox_queue"),
            StateIndex(states=UNFINISHED, fields=["receiver", "key", "id"], name="heliograph_outbox_key", filled="key"),
            StateIndex(states=["RUNNING"], fields=["worker", "id"], name="heliograph_outbox_worker"),
            StateIndex(states=["SUCCESSFUL", "DISCARDED"], fields=["finished_at"], name="heliograph_outbox_done"),
            StateIndex(states=["DEAD"], fields=["queue", "receiver"], name="heliograph_outbox_dead"),
        ]

    def __str__(self) -> str:
        return f"{self.receiver} #{self.pk}, {self.get_state_display()}"

    @property
    def failures(self) -> list[dict[str, Any]]:
        """The attempts that failed, as dicts, the first one first."""
        return [event for event in self.events if "attempt" in event]

    @property
    def events(self) -> list[dict[str, Any]]:
        """The attempts that failed and the operations that changed the delivery, as dicts, the first one first."""
        return events_in(self.history)


class Verb(models.TextChoices):
    """The verbs of operations, which redeliver or discard deliveries."""

    REDELIVER = "redeliver", "redeliver"
    DISCARD = "discard", "discard"


class Operation(models.Model):
    """The row of an operation on many deliveries that a person has asked for in the admin, with its progress.

    For queries: `verb` ("redeliver" or "discard"), `by`, `reason`, `total` (how many deliveries were shown), `done`
    (how many have been looked at), `changed`, and the times `created_at` and `finished_at`, by the clock of the
    database.
    """

    id: models.BigAutoField[Any, Any] = models.BigAutoField(primary_key=True)
    verb = models.CharField(max_length=10, choices=Verb.choices)
    by = models.CharField(max_length=255, help_text="Who has asked for it.")
    reason = models.TextField(blank=True)
    states = models.CharField(max_length=64, help_text="In which states deliveries are changed.")
    ids = models.TextField(blank=True, help_text="The deliveries that were shown, by their numbers.")
    last_claim = models.DateTimeField(
        null=True, blank=True, help_text="Deliveries that a worker has taken since stay as they are."
    )
    total = models.PositiveIntegerField(help_text="How many deliveries were shown.")
    done = models.PositiveIntegerField(default=0, help_text="How many of these have been looked at.")
    changed = models.PositiveIntegerField(default=0, help_text="How many of these have been changed.")
    created_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True, db_index=True)

    class Meta:
        ordering: ClassVar = ["id"]
        # Whoever may see deliveries may see what was done to them.
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.verb} {counted(self.total)}"

    @property
    def verbed(self) -> str:
        """The participle of the verb: `redelivered`, or `discarded`."""
        return f"{self.verb}ed"

    @property
    def status(self) -> str:
        """The progress of the operation: "waiting" for a worker, "running", "done" or "stopped"."""
        if self.finished_at is not None:
            return "done" if self.done >= self.total else "stopped"
        return "running" if self.done else "waiting"


silence(Delivery)
silence(Operation)
