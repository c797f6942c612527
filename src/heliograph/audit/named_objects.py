"""The names and links of the objects that a page is about, read by one query for each model."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from django.contrib.admin.utils import quote
from django.db import router
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html
from django.utils.text import capfirst

from heliograph.audit.audit_viewers import Viewer

_Column = tuple[Any, str]  # a model, and the field by which its objects are found


class NamedObjects:
    """The objects of a page: `want()` is called for each object, and `find()` then reads all of them."""

    def __init__(self, viewer: Viewer, using: str | None = None) -> None:
        self._viewer = viewer
        self._using = using
        self._wanted: defaultdict[_Column, set[Any]] = defaultdict(set)
        self._found: dict[_Column, dict[str, Any]] = {}
        self._seen: dict[Any, set[Any] | None] = {}

    def want(self, model: Any, field: str, key: Any) -> None:
        """Ask for the object whose field has this value."""
        if key is not None:
            self._wanted[model, field].add(key)

    def find(self) -> None:
        """Read all objects that were asked for."""
        for (model, field), keys in self._wanted.items():
            using = self._using or router.db_for_read(model)
            found = model._base_manager.using(using).filter(**{f"{field}__in": [*keys]})
            self._found[model, field] = {str(getattr(one, field)): one for one in found}
        self._wanted.clear()

    def get(self, model: Any, field: str, key: Any) -> Any:
        """Return an object; None if there is none."""
        return self._found.get((model, field), {}).get(str(key))

    def may_be_seen(self, instance: Any) -> bool:
        """Return whether the viewer may see an object, also by the list of its model's admin."""
        model = type(instance)
        if model not in self._seen:
            found = self._found.get((model, model._meta.pk.attname), {})
            self._seen[model] = self._viewer.seen_keys(model, [one.pk for one in found.values()])
        seen = self._seen[model]
        return (seen is None or instance.pk in seen) and self._viewer.may_see(instance)

    def shown(self, model: Any, field: str, key: Any) -> str:
        """Return the name of an object, with a link if the viewer may see it; of one that is gone, its key."""
        instance = self.get(model, field, key)
        if instance is None:
            return format_html("{} {} (deleted)", capfirst(model._meta.verbose_name), key)
        return linked(self._viewer, instance)


def name_of(instance: Any) -> str:
    """Return the name of an object; its model and key if it has no name, or its `__str__()` fails."""
    try:
        return str(instance) or str(instance.pk)
    except Exception:  # the method is the project's, and one object of a page is not to hide all others
        return f"{capfirst(instance._meta.verbose_name)} {instance.pk}"


def linked(viewer: Viewer, instance: Any, name: str = "") -> str:
    """Return the name of an object, with a link to its page if the viewer may see it."""
    name, url = name or name_of(instance), _url(viewer, instance)
    has_link = url is not None and viewer.may_see(instance)
    return format_html('<a href="{}">{}</a>', url, name) if has_link else format_html("{}", name)


def _url(viewer: Viewer, instance: Any) -> str | None:
    options = instance._meta
    if viewer.admin_of(type(instance)) is None:
        return None
    try:
        name = f"{viewer.site.name}:{options.app_label}_{options.model_name}_change"
        return reverse(name, args=[quote(instance.pk)])
    except NoReverseMatch:
        return None
