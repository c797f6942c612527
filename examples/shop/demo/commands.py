"""The command that runs a worker: of Heliograph, or of Celery if the settings name a broker."""

import sys

from django.conf import settings

HELIOGRAPH = (sys.executable, str(settings.BASE_DIR / "manage.py"), "outbox", "run")
# One process, so that a SIGKILL leaves no child behind.
CELERY = (
    *(sys.executable, "-m", "celery", "--app", "config.celery", "--workdir", str(settings.BASE_DIR), "worker"),
    *("--pool", "threads", "--concurrency", "2", "--loglevel", "info", "--without-gossip", "--without-mingle"),
)


def worker() -> list[str]:
    """Return the command, with each queue of Celery that the outbox uses."""
    if not settings.CELERY_BROKER_URL:
        return [*HELIOGRAPH]
    named = settings.HELIOGRAPH_OUTBOX["default"]["OPTIONS"]["QUEUES"].values()
    return [*CELERY, "--queues", ",".join([settings.CELERY_TASK_DEFAULT_QUEUE, *named])]
