"""The tables of the audit log: entries, the change sets and kinds that entries share, and the chain of seals."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar, NoReturn, TypeVar

from django.db import models
from django.utils.functional import cached_property

from heliograph.audit.stored_changes import Related, called_in, changes_in, model_labelled
from heliograph.bulk.audience import silence
from heliograph.changes.comparing import Change
from heliograph.outbox.fields import NameField


class Action(models.TextChoices):
    """The kinds of changes of a row."""

    CREATED = "created", "created"
    UPDATED = "updated", "updated"
    DELETED = "deleted", "deleted"
    RELATED = "related", "related"  # rows of a many-to-many relation were added or removed


class UneditableError(TypeError):
    """Something has tried to change the audit log; the message says what is there instead."""


def _refuse(*args: Any, **kwargs: Any) -> NoReturn:
    raise UneditableError(
        "Entries of the audit log are not edited: manage.py audit prune removes old ones, and manage.py audit forget"
        " removes the values of a person."
    )


M = TypeVar("M", bound=models.Model)


class UneditableQuerySet(models.QuerySet[M]):
    """A queryset that reads, and refuses to write."""

    create = bulk_create = get_or_create = update_or_create = update = bulk_update = delete = _raw_delete = _refuse
    acreate = abulk_create = aget_or_create = aupdate_or_create = aupdate = abulk_update = adelete = _refuse


class Uneditable(models.Model):
    """A row that is written in the transaction of the change that it is about, and never edited."""

    objects = UneditableQuerySet.as_manager()

    class Meta:
        abstract = True

    save = delete = asave = adelete = _refuse


class Kind(Uneditable):
    """The subject that entries share: a model, an action, and the fields that have changed."""

    # A number that is computed from the other columns, so that every process knows it without asking.
    id: models.BigIntegerField[Any, Any] = models.BigIntegerField(primary_key=True)
    model = NameField(max_length=255, help_text="The label of the model, such as shop.Product.")
    action = models.CharField(max_length=10, choices=Action.choices)
    fields = models.TextField(
        help_text="The names of the changed fields, in order, with a comma before and after each."
    )

    class Meta:
        default_permissions = ()
        indexes: ClassVar = [models.Index(fields=["model", "action"], name="heliograph_audit_model")]

    def __str__(self) -> str:
        return f"{self.model} {self.action}"


class ChangeSet(Uneditable):
    """All entries that one actor has caused in one transaction.

    `at` is the time of the database right before the commit. `actor` is the model and key of the actor, such as
    "auth.User 7", or "" for nobody; `actor_label` is how the actor was called then; `reason` is a text; `entries` are
    the entries.
    """

    id: models.BigAutoField[Any, Any] = models.BigAutoField(primary_key=True)
    # If several actors have written in one transaction, each has a change set, and all of these refer to the first one.
    first = models.BigIntegerField(
        null=True, help_text="The first change set of the same transaction, if not this one."
    )
    at = models.DateTimeField(help_text="When the entries were written, right before the commit.")
    actor = NameField(max_length=255, blank=True, help_text="The actor, such as auth.User 7; empty for nobody.")
    actor_label = models.CharField(max_length=255, blank=True, help_text="How the actor was called then.")
    reason = models.TextField(blank=True)
    context = models.TextField(blank=True, help_text="What else travelled with the change, as JSON.")
    # Two salts and two digests, with a comma between them: of the label, and of reason and context. So each half can be
    # forgotten by itself, and its digest stays.
    salts = models.CharField(max_length=45, blank=True)
    digests = models.CharField(max_length=87, blank=True)

    class Meta:
        ordering: ClassVar = ["id"]
        default_permissions = ()
        indexes: ClassVar = [
            models.Index(fields=["actor", "id"], name="heliograph_audit_actor"),
            models.Index(fields=["at"], name="heliograph_audit_at"),
        ]

    def __str__(self) -> str:
        return f"#{self.pk} by {self.actor_label or self.actor or 'nobody'}"


class Entry(Uneditable):
    """The net change of one row in one transaction, as the audit log has it. An entry is never edited.

    `id` is its number; the order of the entries of a row is that of its commits. `change_set` is the `ChangeSet`,
    `object` the primary key of the row as text.
    """

    id: models.BigAutoField[Any, Any] = models.BigAutoField(primary_key=True)
    # No constraints in the database: checking them is a large part of the cost of an entry, and change sets and kinds
    # are deleted only after their entries.
    change_set = models.ForeignKey(
        ChangeSet, models.DO_NOTHING, db_constraint=False, db_index=False, related_name="entries"
    )
    kind = models.ForeignKey(Kind, models.DO_NOTHING, db_constraint=False, db_index=False, related_name="entries")
    object = NameField(max_length=255, help_text="The primary key of the row, as text.")
    text = models.TextField(
        db_column="changes", help_text="The values before and after, as JSON; empty if they were forgotten."
    )
    salt = models.CharField(max_length=22, blank=True)
    digest = models.CharField(max_length=43)

    class Meta:
        ordering: ClassVar = ["id"]
        get_latest_by = "id"
        verbose_name_plural = "entries"
        default_permissions = ("view",)
        permissions: ClassVar = [("revert_entry", "Can revert changes")]
        indexes: ClassVar = [
            models.Index(fields=["object", "kind", "id"], name="heliograph_audit_object"),
            models.Index(fields=["kind", "id"], name="heliograph_audit_kinds"),
            models.Index(fields=["change_set", "id"], name="heliograph_audit_sets"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.object}"

    @property
    def action(self) -> str:
        """The kind of change of the row: created, updated, deleted, or related for a many-to-many relation."""
        return str(self.kind.action)

    @property
    def model(self) -> Any:
        """The model of the row; None if the project does not have it any more."""
        return model_labelled(self.kind.model)

    @property
    def fields(self) -> tuple[str, ...]:
        """The names of the fields that have changed, also those whose values were forgotten."""
        return tuple(filter(None, self.kind.fields.split(",")))

    @cached_property
    def changes(self) -> Mapping[str, Change | Related]:
        """The changes by the names of the fields; empty if the values were forgotten.

        A row that was created has `Change(NO_ROW, value)`, a row that was deleted `Change(value, NO_ROW)`, and a
        many-to-many relation `Related(added, removed)` with keys. A value is `MASKED` where the log only says that it
        has changed, and a `CutText` where it was too long; it has the type of the field, or is given as it was stored
        if the model does not have the field any more.
        """
        return changes_in(self.kind.model, self.kind.action, self.text)

    @property
    def names(self) -> Mapping[str, Change]:
        """How the objects of foreign keys were called then, for the fields that `audit(names=...)` has named."""
        return called_in(self.kind.action, self.text)

    @property
    def is_forgotten(self) -> bool:
        """Whether `manage.py audit forget` has removed the values."""
        return not self.text

    @property
    def at(self) -> datetime:
        """When the entry was written, right before the commit, by the clock of the database."""
        return self.change_set.at

    @property
    def actor(self) -> str:
        """The actor, such as auth.User 7; empty for nobody."""
        return str(self.change_set.actor)

    @property
    def actor_label(self) -> str:
        """How the actor was called then."""
        return self.change_set.actor_label

    @property
    def reason(self) -> str:
        """Why the actor has made the change; empty if nobody has said."""
        return self.change_set.reason


class Link(models.TextChoices):
    """The statement of a seal about its entries, such as that they were pruned; all seals are one chain."""

    SEALED = "sealed", "sealed"
    PRUNED = "pruned", "pruned"
    FORGOTTEN = "forgotten", "forgotten"
    # Of change sets: the ids are those of sets.
    LABELS = "labels", "labels forgotten"
    REASONS = "reasons", "reasons and contexts forgotten"


class Seal(Uneditable):
    """A range of entries that was closed, or entries that were pruned or forgotten; it has the former seal's digest.

    Seals have the numbers from 1 without a gap.
    """

    id: models.BigIntegerField[Any, Any] = models.BigIntegerField(primary_key=True)
    link = models.CharField(max_length=10, choices=Link.choices)
    at = models.DateTimeField(help_text="When it was closed, by the clock of the database.")
    first = models.BigIntegerField(help_text="The first of the ids.")
    last = models.BigIntegerField(help_text="The last of the ids.")
    count = models.BigIntegerField(help_text="How many ids there are.")
    ids = models.TextField(help_text="The ids, such as 1-500,502.")
    reason = models.TextField(blank=True, help_text="Why entries were pruned, or whom they were about.")
    root = models.CharField(max_length=43, blank=True, help_text="The Merkle root of the leaves.")
    # By the leaves, `verify` names the entry that was altered, and knows the root after some entries were pruned.
    leaves = models.BinaryField(help_text="The SHA-256 of each entry, 32 bytes each; empty when all were pruned.")
    digest = models.CharField(max_length=43, help_text="The digest of this seal and of the seal before it.")

    class Meta:
        ordering: ClassVar = ["id"]
        default_permissions = ("view",)
        indexes: ClassVar = [models.Index(fields=["link", "last"], name="heliograph_audit_seals")]

    def __str__(self) -> str:
        return f"#{self.pk}, {self.link}: {self.first} to {self.last}"


class Chain(Uneditable):
    """The one row that is locked by whoever adds a seal; it has the mark up to which entries are sealed next."""

    id: models.BigIntegerField[Any, Any] = models.BigIntegerField(primary_key=True)
    marked = models.BigIntegerField(null=True, help_text="The last entry at the time of the mark.")
    marked_at = models.DateTimeField(null=True, help_text="When it was marked, by the clock of the database.")

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"marked at {self.marked}"


for _model in (Kind, ChangeSet, Entry, Seal, Chain):
    silence(_model)
