"""The catalogue: the module of each signal, and the names that it sends."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from django import VERSION

from heliograph.dispatch.condition_base import Target
from heliograph.dispatch.names import found_name

# The kind of sender that a signal has; "nobody" is for a signal that always sends None.
Senders = Literal["models", "apps", "classes", "anything", "nobody"]


@dataclass(frozen=True, slots=True)
class Entry:
    """A signal of the catalogue: where it lives, and what it carries."""

    module: str
    name: str
    carries: tuple[str, ...]
    guards_instance: bool = False  # whether a receiver may cause it for the instance that it is handling
    sent_by: Senders = "anything"
    since: tuple[int, int] = (5, 2)
    is_exact: bool = False  # whether it carries no other names: servers send more with the signals of a request

    @property
    def path(self) -> str:
        """Module and name."""
        return f"{self.module}.{self.name}"

    def is_of(self, signal: Any) -> bool:
        """Return whether this is the entry of a signal: its module has the signal under this name."""
        return signal is not None and self.loaded() is signal

    def loaded(self) -> Any:
        """Return the signal, or None if its module is not imported yet."""
        return getattr(sys.modules.get(self.module), self.name, None)

    @property
    def is_of_django(self) -> bool:
        """Whether it is one of Django's."""
        return self.module.startswith("django.")


_EXACT = ("django.db.models.signals", "heliograph.bulk.signals")


def _entries(module: str, sent_by: Senders, /, *, guards_instance: bool = False, **carries: str) -> dict[str, Entry]:
    return {
        name: Entry(module, name, tuple(names.split()), guards_instance, sent_by, is_exact=module in _EXACT)
        for name, names in carries.items()
    }


# A hint, for speed: what is really sent counts.
CATALOGUE: dict[str, Entry] = {
    **_entries(
        "django.db.models.signals",
        "models",
        class_prepared="",
        pre_init="args kwargs",
        post_init="instance",
    ),
    **_entries(
        "django.db.models.signals",
        "apps",
        pre_migrate="app_config verbosity interactive using stdout apps plan",
        post_migrate="app_config verbosity interactive using stdout apps plan",
    ),
    **_entries(
        "django.db.models.signals",
        "models",
        guards_instance=True,
        pre_save="instance raw using update_fields",
        post_save="instance created update_fields raw using",
        pre_delete="instance using origin",
        post_delete="instance using origin",
        m2m_changed="action instance reverse model pk_set using" + (" raw" if VERSION >= (6, 1) else ""),
    ),
    **_entries(
        "django.core.signals",
        "classes",
        request_started="environ",
        request_finished="",
        setting_changed="setting value enter",
    ),
    **_entries("django.core.signals", "nobody", got_request_exception="request"),
    **_entries("django.db.backends.signals", "classes", connection_created="connection"),
    **_entries("django.test.signals", "anything", template_rendered="template context"),
    **_entries(
        "django.contrib.auth.signals",
        "classes",
        user_logged_in="request user",
        user_logged_out="request user",
    ),
    **_entries("django.contrib.auth.signals", "anything", user_login_failed="credentials request"),
    **{
        name: Entry("django.tasks.signals", name, ("task_result",), sent_by="classes", since=(6, 0))
        for name in ("task_enqueued", "task_started", "task_finished")
    },
    # These are Heliograph's own.
    **_entries(
        "heliograph.bulk.signals",
        "models",
        pre_bulk_create="instances update_fields using",
        post_bulk_create="batch update_fields using",
        pre_bulk_update="instances update_fields using",
        post_bulk_update="batch update_fields using",
        pre_update="queryset values using",
        post_update="batch update_fields using",
        pre_bulk_delete="queryset using origin",
        post_bulk_delete="batch using origin",
        deletion_asked="queryset using origin",
        m2m_changes="field added removed using raw",
    ),
}


def entry_of(signal: Any) -> Entry | None:
    """Return what the catalogue knows of a signal."""
    known = _known.get(id(signal))
    if known is not None and getattr(sys.modules.get(known.module), known.name, None) is signal:
        return known
    entry = next((entry for entry in CATALOGUE.values() if entry.is_of(signal)), None)
    if entry is not None:
        _known[id(signal)] = entry
    return entry


# The entries that were found, by the id of their signal: a search compares many entries.
_known: dict[int, Entry] = {}


def title(signal: Any) -> str:
    """Return the name of a signal for errors: "post_save" for a signal of the catalogue, else module and variable."""
    entry = entry_of(signal)
    if entry is not None:
        return entry.name
    return str(getattr(signal, "name", None) or found_name(signal) or repr(signal))


def carried(signal: Any) -> Sequence[str] | None:
    """Return the names that a signal sends, or None where nobody has said so."""
    return facts_of(signal)[1]


def target_of(signal: Any, sender: Any) -> Target:
    """Return the target of a receiver of one sender, or of every sender (None)."""
    return Target(signal, sender, False, *facts_of(signal))


def facts_of(signal: Any) -> tuple[Entry | None, Sequence[str] | None, bool]:
    """Return the facts of a target about its signal: its entry, the names that it sends, and whether these are all."""
    entry = entry_of(signal)
    if entry is not None:
        return entry, entry.carries, entry.is_exact
    carries = getattr(signal, "_carries", None)
    return None, carries, carries is not None
