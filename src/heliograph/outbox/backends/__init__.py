"""The systems whose workers can make the calls, a module each: our own workers, Celery, and Django's tasks."""
