"""The patches of bulk writes: the steps around Django's methods, which run while any receiver listens."""

from __future__ import annotations

from collections.abc import Iterator

from django.db.models import Model

from heliograph.bulk import bulk_update, create, delete, m2m, update
from heliograph.bulk.write import replace_statement
from heliograph.orm import deletion, querysets, relations, saving
from heliograph.orm.steps import PatchLease, Step


def _steps() -> Iterator[Step]:
    yield querysets.bulk_create.step("send", create.bulk_create)
    yield querysets.bulk_update.step("send", bulk_update.bulk_update)
    yield querysets.update.step("send", update.update)
    yield querysets.update_batch.step("send", update.update_batch)
    for method in querysets.get_compilers:
        yield method.step("replace", replace_statement)
    yield deletion.delete.step("send", delete.delete)
    yield deletion.can_fast_delete.step("send", delete.can_fast_delete)
    yield deletion.has_signal_listeners.step("send", delete.loads_instances)


def _steps_of_questions() -> Iterator[Step]:
    yield deletion.collect.step("ask", delete.ask)


def _steps_of_relations() -> Iterator[Step]:
    yield relations.get_manager.step("as_one", m2m.send_as_one)
    yield saving.save_table.step("record_relation", m2m.record_relation, Model)


# Taken by each receiver of bulk writes.
of_bulk_writes = PatchLease(_steps)
# Taken by each receiver of the question which rows a deletion would take, besides.
of_questions = PatchLease(_steps_of_questions)
# Taken by each receiver of the pairs of a relation, besides.
of_relations = PatchLease(_steps_of_relations)
