"""The table of operations."""

from typing import ClassVar

from django.db import migrations, models


class Migration(migrations.Migration):
    """Make the table."""

    dependencies: ClassVar = [("heliograph_outbox", "0001_initial")]

    operations: ClassVar = [
        migrations.CreateModel(
            name="Operation",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("verb", models.CharField(choices=[("redeliver", "redeliver"), ("discard", "discard")], max_length=10)),
                ("by", models.CharField(help_text="Who has asked for it.", max_length=255)),
                ("reason", models.TextField(blank=True)),
                ("states", models.CharField(help_text="In which states deliveries are changed.", max_length=64)),
                ("ids", models.TextField(blank=True, help_text="The deliveries that were shown, by their numbers.")),
                (
                    "last_claim",
                    models.DateTimeField(
                        blank=True, help_text="Deliveries that a worker has taken since stay as they are.", null=True
                    ),
                ),
                ("total", models.PositiveIntegerField(help_text="How many deliveries were shown.")),
                ("done", models.PositiveIntegerField(default=0, help_text="How many of these have been looked at.")),
                ("changed", models.PositiveIntegerField(default=0, help_text="How many of these have been changed.")),
                ("created_at", models.DateTimeField()),
                ("finished_at", models.DateTimeField(blank=True, db_index=True, null=True)),
            ],
            options={"ordering": ["id"], "default_permissions": ()},
        ),
    ]
