"""What the tests read of the log."""

import json

from heliograph.audit.models import ChangeSet, Entry


def entries(using="default"):
    """Return the action, the key and the changes of each entry."""
    rows = Entry.objects.using(using).select_related("kind")
    return [(one.kind.action, one.object, json.loads(one.text)) for one in rows]


def changes(using="default"):
    """Return the changes of each entry."""
    return [found for *_, found in entries(using)]


def acts():
    """Return the actor, its label, the reason and the context of each change set."""
    return [
        (one.actor, one.actor_label, one.reason, json.loads(one.context or "{}")) for one in ChangeSet.objects.all()
    ]
