"""The tables of the audit log."""

from typing import ClassVar

import django.db.models.deletion
from django.db import migrations, models

import heliograph.outbox.fields


class Migration(migrations.Migration):
    """Make the tables."""

    initial = True

    dependencies: ClassVar = []

    operations: ClassVar = [
        migrations.CreateModel(
            name="Chain",
            fields=[
                ("id", models.BigIntegerField(primary_key=True, serialize=False)),
                ("marked", models.BigIntegerField(help_text="The last entry at the time of the mark.", null=True)),
                (
                    "marked_at",
                    models.DateTimeField(help_text="When it was marked, by the clock of the database.", null=True),
                ),
            ],
            options={
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="Seal",
            fields=[
                ("id", models.BigIntegerField(primary_key=True, serialize=False)),
                (
                    "link",
                    models.CharField(
                        choices=[
                            ("sealed", "sealed"),
                            ("pruned", "pruned"),
                            ("forgotten", "forgotten"),
                            ("labels", "labels forgotten"),
                            ("reasons", "reasons and contexts forgotten"),
                        ],
                        max_length=10,
                    ),
                ),
                ("at", models.DateTimeField(help_text="When it was closed, by the clock of the database.")),
                ("first", models.BigIntegerField(help_text="The first of the ids.")),
                ("last", models.BigIntegerField(help_text="The last of the ids.")),
                ("count", models.BigIntegerField(help_text="How many ids there are.")),
                ("ids", models.TextField(help_text="The ids, such as 1-500,502.")),
                (
                    "reason",
                    models.TextField(blank=True, help_text="Why entries were pruned, or whom they were about."),
                ),
                ("root", models.CharField(blank=True, help_text="The Merkle root of the leaves.", max_length=43)),
                (
                    "leaves",
                    models.BinaryField(
                        help_text="The SHA-256 of each entry, 32 bytes each; empty when all were pruned."
                    ),
                ),
                (
                    "digest",
                    models.CharField(help_text="The digest of this seal and of the seal before it.", max_length=43),
                ),
            ],
            options={
                "ordering": ["id"],
                "default_permissions": ("view",),
                "indexes": [models.Index(fields=["link", "last"], name="heliograph_audit_seals")],
            },
        ),
        migrations.CreateModel(
            name="ChangeSet",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                (
                    "first",
                    models.BigIntegerField(
                        help_text="The first change set of the same transaction, if not this one.", null=True
                    ),
                ),
                ("at", models.DateTimeField(help_text="When the entries were written, right before the commit.")),
                (
                    "actor",
                    heliograph.outbox.fields.NameField(
                        blank=True, help_text="The actor, such as auth.User 7; empty for nobody.", max_length=255
                    ),
                ),
                (
                    "actor_label",
                    models.CharField(blank=True, help_text="How the actor was called then.", max_length=255),
                ),
                ("reason", models.TextField(blank=True)),
                ("context", models.TextField(blank=True, help_text="What else travelled with the change, as JSON.")),
                ("salts", models.CharField(blank=True, max_length=45)),
                ("digests", models.CharField(blank=True, max_length=87)),
            ],
            options={
                "ordering": ["id"],
                "default_permissions": (),
                "indexes": [
                    models.Index(fields=["actor", "id"], name="heliograph_audit_actor"),
                    models.Index(fields=["at"], name="heliograph_audit_at"),
                ],
            },
        ),
        migrations.CreateModel(
            name="Kind",
            fields=[
                ("id", models.BigIntegerField(primary_key=True, serialize=False)),
                (
                    "model",
                    heliograph.outbox.fields.NameField(
                        help_text="The label of the model, such as shop.Product.", max_length=255
                    ),
                ),
                (
                    "action",
                    models.CharField(
                        choices=[
                            ("created", "created"),
                            ("updated", "updated"),
                            ("deleted", "deleted"),
                            ("related", "related"),
                        ],
                        max_length=10,
                    ),
                ),
                (
                    "fields",
                    models.TextField(
                        help_text="The names of the changed fields, in order, with a comma before and after each."
                    ),
                ),
            ],
            options={
                "default_permissions": (),
                "indexes": [models.Index(fields=["model", "action"], name="heliograph_audit_model")],
            },
        ),
        migrations.CreateModel(
            name="Entry",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                (
                    "object",
                    heliograph.outbox.fields.NameField(
                        help_text="The primary key of the row, as text.", max_length=255
                    ),
                ),
                (
                    "text",
                    models.TextField(
                        db_column="changes",
                        help_text="The values before and after, as JSON; empty if they were forgotten.",
                    ),
                ),
                ("salt", models.CharField(blank=True, max_length=22)),
                ("digest", models.CharField(max_length=43)),
                (
                    "change_set",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="entries",
                        to="heliograph_audit.changeset",
                    ),
                ),
                (
                    "kind",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="entries",
                        to="heliograph_audit.kind",
                    ),
                ),
            ],
            options={
                "get_latest_by": "id",
                "verbose_name_plural": "entries",
                "ordering": ["id"],
                "permissions": [("revert_entry", "Can revert changes")],
                "default_permissions": ("view",),
                "indexes": [
                    models.Index(fields=["object", "kind", "id"], name="heliograph_audit_object"),
                    models.Index(fields=["kind", "id"], name="heliograph_audit_kinds"),
                    models.Index(fields=["change_set", "id"], name="heliograph_audit_sets"),
                ],
            },
        ),
    ]
