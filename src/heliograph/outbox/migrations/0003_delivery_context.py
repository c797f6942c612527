"""A column for the context of a delivery: who acts, and for which request or cause."""

from typing import ClassVar

from django.db import migrations, models


class Migration(migrations.Migration):
    """Add the column, with a default in the database: processes of the release before do not name it."""

    dependencies: ClassVar = [("heliograph_outbox", "0002_operation")]

    operations: ClassVar = [
        migrations.AddField(
            model_name="delivery",
            name="context",
            field=models.TextField(
                blank=True, db_default="", default="", help_text="Who has caused it, and why, as JSON."
            ),
        ),
    ]
