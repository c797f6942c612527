"""Deletion: the methods of Django's collector, and of its query, that delete rows."""

from __future__ import annotations

from django.db.models.deletion import Collector
from django.db.models.sql import DeleteQuery

from heliograph.orm.steps import Method, made

delete = Method("delete", ("send", "lock_rows"), made, Collector)
instances_with_model = Method("instances_with_model", ("lock_rows",), made, Collector)
can_fast_delete = Method("can_fast_delete", ("send",), made, Collector)
has_signal_listeners = Method("_has_signal_listeners", ("send",), made, Collector)
delete_batch = Method("delete_batch", ("lock_rows",), made, DeleteQuery)
