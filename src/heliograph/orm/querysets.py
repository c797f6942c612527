"""Querysets: the methods of Django that write many rows at once."""

from __future__ import annotations

from django.db.models import QuerySet
from django.db.models.sql import DeleteQuery, InsertQuery, UpdateQuery

from heliograph.orm.steps import Method, made

bulk_create = Method("bulk_create", ("send", "remember"), made, QuerySet)
bulk_update = Method("bulk_update", ("send", "remember"), made, QuerySet)
update = Method("update", ("send",), made, QuerySet)
update_batch = Method("update_batch", ("send",), made, UpdateQuery)
get_compilers = [Method("get_compiler", ("replace",), made, query) for query in (DeleteQuery, InsertQuery, UpdateQuery)]
