"""The table of deliveries with its indexes."""

from typing import ClassVar

from django.db import migrations, models

import heliograph.outbox.fields
import heliograph.outbox.indexes


class Migration(migrations.Migration):
    """Make the table."""

    initial = True

    dependencies: ClassVar = []

    operations: ClassVar = [
        migrations.CreateModel(
            name="Delivery",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                (
                    "backend",
                    heliograph.outbox.fields.NameField(
                        help_text="Whose workers make the call: an alias of HELIOGRAPH_OUTBOX.", max_length=64
                    ),
                ),
                ("queue", heliograph.outbox.fields.NameField(max_length=64)),
                (
                    "receiver",
                    heliograph.outbox.fields.NameField(help_text="The receiver's module and name.", max_length=255),
                ),
                ("signal", models.CharField(blank=True, max_length=255)),
                ("sender", models.CharField(blank=True, max_length=255)),
                (
                    "key",
                    heliograph.outbox.fields.NameField(
                        blank=True, help_text="Those of a receiver with one key run one by one.", max_length=255
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("READY", "ready"),
                            ("RUNNING", "running"),
                            ("SUCCESSFUL", "successful"),
                            ("DEAD", "dead"),
                            ("DISCARDED", "discarded"),
                        ],
                        max_length=10,
                    ),
                ),
                ("payload", models.TextField(help_text="What was sent, as JSON.")),
                ("attempts", models.PositiveSmallIntegerField(default=0, help_text="How many have begun.")),
                ("due_at", models.DateTimeField(help_text="When the next attempt may begin.")),
                ("created_at", models.DateTimeField()),
                (
                    "claimed_at",
                    models.DateTimeField(
                        blank=True, help_text="When the last attempt was taken by a worker.", null=True
                    ),
                ),
                (
                    "leased_until",
                    models.DateTimeField(blank=True, help_text="Until when nobody else may take it.", null=True),
                ),
                ("finished_at", models.DateTimeField(blank=True, null=True)),
                ("worker", heliograph.outbox.fields.NameField(blank=True, max_length=128)),
                ("error", models.TextField(blank=True, help_text="The last error, or why it was discarded.")),
                ("traceback", models.TextField(blank=True)),
                ("history", models.TextField(blank=True, help_text="The attempts that failed, each a line of JSON.")),
            ],
            options={
                "verbose_name_plural": "deliveries",
                "ordering": ["id"],
                "permissions": [
                    ("redeliver_delivery", "Can redeliver deliveries"),
                    ("discard_delivery", "Can discard deliveries"),
                ],
                "default_permissions": ("view",),
                "indexes": [
                    heliograph.outbox.indexes.StateIndex(
                        fields=["backend", "due_at", "id"], filled="", name="heliograph_outbox_due", states=("READY",)
                    ),
                    heliograph.outbox.indexes.StateIndex(
                        fields=["backend", "queue", "due_at", "id"],
                        filled="",
                        name="heliograph_outbox_queue",
                        states=("READY",),
                    ),
                    heliograph.outbox.indexes.StateIndex(
                        fields=["receiver", "key", "id"],
                        filled="key",
                        name="heliograph_outbox_key",
                        states=("READY", "RUNNING"),
                    ),
                    heliograph.outbox.indexes.StateIndex(
                        fields=["worker", "id"], filled="", name="heliograph_outbox_worker", states=("RUNNING",)
                    ),
                    heliograph.outbox.indexes.StateIndex(
                        fields=["finished_at"],
                        filled="",
                        name="heliograph_outbox_done",
                        states=("SUCCESSFUL", "DISCARDED"),
                    ),
                    heliograph.outbox.indexes.StateIndex(
                        fields=["queue", "receiver"], filled="", name="heliograph_outbox_dead", states=("DEAD",)
                    ),
                ],
            },
        ),
    ]
