"""The base class of backends, and the notification of a backend after a commit that wrote deliveries.

A *backend* is the system whose workers make the calls. The table is the truth: a notification only says that there may
be something to do, and it may be lost, come twice or come too early. `backend` has the class that all backends extend,
`lookup` finds the one that a setting names, and `notifying` calls it after the commit, before other callbacks. Backends
with external workers get the numbers of the deliveries (`external`); the workers of the database are woken by a NOTIFY
of PostgreSQL (`notices`), which never runs inside a transaction that commits.

    HELIOGRAPH_OUTBOX = {"default": {"BACKEND": "heliograph.outbox.backends.celery.CeleryBackend", ...}}

After the commit of a delivery, Celery gets a message with its number. If the broker is away, the error is logged, and
the upkeep notifies again later.
"""
