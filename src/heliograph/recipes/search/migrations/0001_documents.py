"""The table of documents, with the index of their words."""

from typing import Any, ClassVar

from django.db import migrations, models

import heliograph.outbox.fields
from heliograph.building import database_of

TABLE = "heliograph_search_searchdocument"


def index_words(apps: Any, schema_editor: Any) -> None:
    """Let the database index the words."""
    for statement in database_of(schema_editor.connection).full_text_index(TABLE, "text"):
        schema_editor.execute(statement)


def index_no_words(apps: Any, schema_editor: Any) -> None:
    """Take the index away."""
    for statement in database_of(schema_editor.connection).without_full_text_index(TABLE, "text"):
        schema_editor.execute(statement)


class Migration(migrations.Migration):
    """Make the table."""

    initial = True

    dependencies: ClassVar = []

    operations: ClassVar = [
        migrations.CreateModel(
            name="SearchDocument",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                (
                    "model",
                    heliograph.outbox.fields.NameField(help_text="The label of the row's model.", max_length=255),
                ),
                ("key", heliograph.outbox.fields.NameField(help_text="The primary key of the row.", max_length=255)),
                ("text", models.TextField()),
            ],
            options={"default_permissions": ("view",)},
        ),
        migrations.AddConstraint(
            model_name="searchdocument",
            constraint=models.UniqueConstraint(fields=["model", "key"], name="heliograph_search_row"),
        ),
        # MariaDB and MySQL have no transactions for this.
        migrations.RunPython(index_words, index_no_words, atomic=False),
    ]
