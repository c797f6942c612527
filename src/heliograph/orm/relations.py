"""Relations: the method of Django that gives the managers of a many-to-many relation."""

from __future__ import annotations

from django.db.models.fields.related_descriptors import ManyToManyDescriptor

from heliograph.orm.steps import Method, made

get_manager = Method("__get__", ("as_one",), made, ManyToManyDescriptor)
