"""Watching a block for effects that a rollback does not undo."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from heliograph.flow.effects import held_caches, held_mail, process_effects, statement_effects
from heliograph.flow.effects.seen_effects import Effect, Recorder, recording


@contextmanager
def watched_effects(*, hook: bool = True) -> Iterator[list[Effect]]:
    """A context manager that records the effects of a block which a rollback does not undo, as a list of `Effect`.

    Mails are not sent. Caches are not written: code in the block reads what it has written, and nothing of it stays.
    The other effects happen, and are only recorded. An audit hook of Python, which stays in the process, sees files,
    sockets, programs and threads. With `hook=False` it is not installed, so these effects are recorded only if it is
    there already.
    """
    recorder = Recorder()
    if hook:
        process_effects.install()
    holds = (held_mail.of_backends.take(), statement_effects.of_statements.take())
    with held_caches.held(), recorder, recording(recorder):
        yield recorder.effects
    del holds
