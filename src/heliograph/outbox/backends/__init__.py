"""The systems whose workers can make the calls, a module each: our own workers, Celery, and Django's tasks.

Each module has one subclass of `heliograph.outbox.notify.backend.Backend`, and imports its package; nothing else does.
Another system is one file with a class like these, which a setting names by its path:

    class KafkaBackend(ExternalBackend):
        def notify_in(self, seconds, using, ids, queue): ...    # sends a message with the numbers of the deliveries
        def can_wait(self, seconds): return False

Its workers call `run_delivery(number, using)` of `heliograph.outbox.work.external_workers`. A message is not trusted:
the worker claims the row, and makes the delivery only if it is still due.
"""
