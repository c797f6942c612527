"""Chaos: workers that are killed or stopped, senders that are killed, and connections that are cut, at random."""

import signal
import time
from collections import Counter
from contextlib import suppress

from django.db import Error, connection

from tests.crash.settings import LEASE


class Chaos:
    """What is done to workers and senders, chosen by the dice."""

    def __init__(self, dice, work, send, workers, senders):
        self.dice = dice
        self.work = work  # starts a worker
        self.send = send  # starts a sender
        self.workers = [work() for _ in range(workers)]
        self.senders = [send() for _ in range(senders)]
        self.stopped = {}  # workers, each with the time when it goes on
        self.number = 0  # of things that were tried
        self.done = Counter()
        self._next = []
        self._things = [self.kill_a_worker, self.stop_a_worker, self.kill_a_sender]
        if connection.vendor != "sqlite":
            self._things.append(self.cut_connections)

    def __str__(self):
        return ", ".join(f"{number} {what}" for what, number in self.done.items())

    def has_done_everything(self):
        return len(self.done) == len(self._things)

    def do_something(self):
        """Do one of the things, each of which has its turn before any comes again."""
        if not self._next:
            self._next = self.dice.sample(self._things, len(self._things))
        self._next.pop()()
        self.number += 1

    def wake_some(self):
        """Let those workers go on that were stopped for long enough."""
        now = time.monotonic()
        for worker in [worker for worker, until in self.stopped.items() if until < now]:
            self.wake(worker)

    def wake_all(self):
        for worker in [*self.stopped]:
            self.wake(worker)

    def wake(self, worker):
        del self.stopped[worker]
        worker.report(signal.SIGCONT)

    def kill_a_worker(self):
        at = self.dice.randrange(len(self.workers))
        self.stopped.pop(self.workers[at], None)
        self.workers[at].kill()
        self.workers[at] = self.work()
        self.done["workers killed"] += 1

    def stop_a_worker(self):
        """Stop a worker for longer than its lease, unless no other one would be left."""
        running = [worker for worker in self.workers if worker not in self.stopped]
        if len(running) > 1:
            worker = self.dice.choice(running)
            worker.report(signal.SIGSTOP)
            self.stopped[worker] = time.monotonic() + LEASE.total_seconds() * self.dice.uniform(1.2, 2)
            self.done["workers stopped for longer than the lease"] += 1

    def kill_a_sender(self):
        at = self.dice.randrange(len(self.senders))
        if self.senders[at].is_alive():  # it has not ended because it is enough
            self.senders[at].kill()
            self.senders[at] = self.send()
            self.done["senders killed"] += 1

    def cut_connections(self):
        """Close some of the connections of all processes."""
        for number in connections_of_others():
            if self.dice.random() < 0.3:
                cut(number)
                self.done["connections cut"] += 1


def connections_of_others():
    """Return the numbers of the connections to this database but for one's own."""
    of_others = {
        "postgresql": "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()",
        "mysql": "SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()",
    }
    with connection.cursor() as cursor:
        cursor.execute(of_others[connection.vendor])
        return [number for (number,) in cursor.fetchall()]


def cut(number):
    """Close a connection, unless it has gone by itself."""
    statement = {"postgresql": "SELECT pg_terminate_backend(%s)", "mysql": "KILL CONNECTION %s"}
    with suppress(Error), connection.cursor() as cursor:
        cursor.execute(statement[connection.vendor], [number])
