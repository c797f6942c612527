"""The loading of rows as a fixture."""

import json

from django.core.management import call_command


def load(folder, *rows):
    """Load a fixture."""
    path = folder / "rows.json"
    path.write_text(json.dumps(rows))
    call_command("loaddata", str(path), verbosity=0)
