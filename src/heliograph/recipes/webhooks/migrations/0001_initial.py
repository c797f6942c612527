"""The tables of endpoints, messages and attempts."""

from typing import ClassVar

import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models

import heliograph.outbox.fields
import heliograph.recipes.webhooks.models


class Migration(migrations.Migration):
    """Make the tables."""

    initial = True

    dependencies: ClassVar = []

    operations: ClassVar = [
        migrations.CreateModel(
            name="Endpoint",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("url", models.CharField(help_text="Where events are POSTed to.", max_length=1000)),
                ("description", models.CharField(blank=True, max_length=255)),
                (
                    "owner",
                    heliograph.outbox.fields.NameField(
                        blank=True,
                        db_index=True,
                        help_text="Whose events it gets, as owner= of webhook() says; empty: events without an owner.",
                        max_length=255,
                    ),
                ),
                (
                    "events",
                    models.JSONField(
                        blank=True, default=list, help_text="The events that it gets. None chosen: all of them."
                    ),
                ),
                (
                    "secret",
                    models.CharField(
                        default=heliograph.recipes.webhooks.models.new_secret, editable=False, max_length=255
                    ),
                ),
                ("previous_secret", models.CharField(blank=True, editable=False, max_length=255)),
                (
                    "previous_until",
                    models.DateTimeField(
                        blank=True, editable=False, help_text="Until when the previous secret signs too.", null=True
                    ),
                ),
                ("is_active", models.BooleanField(default=True, editable=False)),
                ("disabled_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("disabled_reason", models.CharField(blank=True, editable=False, max_length=255)),
                (
                    "first_failure_at",
                    models.DateTimeField(
                        blank=True, editable=False, help_text="Since when every request has failed.", null=True
                    ),
                ),
                (
                    "paused_until",
                    models.DateTimeField(
                        blank=True,
                        editable=False,
                        help_text="Until when there is no request, since the last one failed.",
                        null=True,
                    ),
                ),
                (
                    "busy_until",
                    models.DateTimeField(
                        blank=True, editable=False, help_text="Until when no other worker makes a request.", null=True
                    ),
                ),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
            ],
            options={
                "ordering": ["id"],
                "permissions": [("reveal_secret", "Can see the secrets of endpoints")],
            },
        ),
        migrations.CreateModel(
            name="Message",
            fields=[
                (
                    "id",
                    models.CharField(
                        help_text="The webhook-id, the same in all attempts.",
                        max_length=64,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("event", models.CharField(max_length=100)),
                ("owner", heliograph.outbox.fields.NameField(blank=True, max_length=255)),
                ("body", models.TextField(help_text="What is sent, as JSON.")),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
            ],
            options={
                "ordering": ["created_at"],
                "default_permissions": ("view",),
                "indexes": [models.Index(fields=["created_at"], name="heliograph_webhooks_old")],
            },
        ),
        migrations.CreateModel(
            name="Attempt",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("number", models.PositiveSmallIntegerField(help_text="1 for the first attempt of a delivery.")),
                (
                    "status_code",
                    models.PositiveSmallIntegerField(blank=True, help_text="Empty if there was no answer.", null=True),
                ),
                ("seconds", models.FloatField()),
                ("error", models.CharField(blank=True, help_text="Why it has failed.", max_length=255)),
                ("response", models.TextField(blank=True, help_text="How the answer begins.")),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                (
                    "endpoint",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="attempts",
                        to="heliograph_webhooks.endpoint",
                    ),
                ),
                (
                    "message",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="attempts",
                        to="heliograph_webhooks.message",
                    ),
                ),
            ],
            options={
                "ordering": ["id"],
                "default_permissions": ("view",),
            },
        ),
    ]
