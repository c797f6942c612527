"""The settings of all projects, which differ in their system."""

import os
from typing import Any

from benchmarks.outbox import systems
from tests.helpers.databases import PREFIX, SERVERS

SYSTEM = systems.named(os.environ[systems.VARIABLE])


def _database(name: str) -> dict[str, Any]:
    """Return a database that is as durable as it is by default, with connections that stay open."""
    server = {**SERVERS["postgresql"], "NAME": f"{PREFIX}_outbox_{name}", "OPTIONS": {}}
    return {**server, "CONN_MAX_AGE": None}


DATABASES = SYSTEM.databases(_database)
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = [*SYSTEM.apps, "benchmarks.outbox.shop"]
SECRET_KEY = "not a secret: only the benchmarks use it"
USE_TZ = True

globals().update(SYSTEM.settings())
