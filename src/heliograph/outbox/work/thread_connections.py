"""The connections of a worker's threads: each thread has its own, outside Django's pool, and closes them in the end."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from django.db import Error, connections


def leave_pool(using: str) -> None:
    """Give this thread, until it ends, a connection to a database outside the pool that Django has for it.

    A pool lends connections to threads that come and go; the threads of a worker keep theirs. Without this, four
    threads left none of a pool of four for the renewal of leases, and other workers made again what still ran.
    """
    pooled: Any = connections[using]
    if not pooled.settings_dict["OPTIONS"].get("pool"):
        return
    pooled.close()
    own = pooled.copy()
    del own.settings_dict["OPTIONS"]["pool"]
    connections[using] = own


def close_connections() -> None:
    """Close the connections of this thread, in whatever state they are.

    PyMySQL raises an error for one that is closed already, as after an error of the network. Django forgets the
    connection nevertheless, and opens another one.
    """
    for connection in connections.all(initialized_only=True):
        with suppress(Error):
            connection.close()
