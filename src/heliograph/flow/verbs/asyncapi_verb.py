"""The verb `asyncapi`."""

from __future__ import annotations

import json
from typing import Any

from heliograph.flow.asyncapi.document import document_of


def add_arguments(parser: Any) -> None:
    """Add the arguments of the verb."""
    parser.add_argument("--title", default="Signals", help="the title of the document; default: Signals")
    parser.add_argument("--version", default="1.0.0", help="the version of the project's signals; default: 1.0.0")


def run(command: Any, options: dict[str, Any]) -> None:
    """Print the document."""
    document = document_of(options["title"], options["version"])
    command.stdout.write(json.dumps(document, indent=2, ensure_ascii=False))
