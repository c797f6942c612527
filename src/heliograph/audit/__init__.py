"""Audit: an entry for each row that a transaction has created, updated or deleted, written in the same transaction.

    audit(Product, exclude=["views"], mask=["supplier_price"])      # in models.py or receivers.py

    with acting(ada, reason="new prices"):
        product.price = 12
        product.save()                    # UPDATE of the product, INSERT of the entry, COMMIT

    history(product).latest().changes     # {"price": Change(old=10, new=12)}

An *entry* is the net change of a row in a transaction: what it was before, and what it is after the commit. A *change
set* has all entries that one actor has caused in one transaction, with the reason and the time of the database. The
*kind* of an entry is the model, the action and the names of the changed fields: entries with the same three share it.

`audit_declarations` has what is audited, `audit_policy` keeps the sends until the end of the transaction, `net_changes`
makes one change of all sends about a row, `writing` inserts the entries. The rest reads them: `histories`,
`rows_as_of`, `reverting`.
"""

from typing import TYPE_CHECKING

from heliograph.lazy_names import lazy_names

if TYPE_CHECKING:
    from heliograph.audit.audit_declarations import audit
    from heliograph.audit.histories import History, history
    from heliograph.audit.past_instances import Past, ReadOnlyError, past
    from heliograph.audit.points_in_time import UnknownPastError
    from heliograph.audit.reversals import Refusal, Reversal, RevertRefused, Step
    from heliograph.audit.reverting import revert
    from heliograph.audit.rows_as_of import as_of, keys_as_of
    from heliograph.audit.stored_changes import MASKED, CutText, Related

__all__ = [
    "MASKED",
    "CutText",
    "History",
    "Past",
    "ReadOnlyError",
    "Refusal",
    "Related",
    "Reversal",
    "RevertRefused",
    "Step",
    "UnknownPastError",
    "as_of",
    "audit",
    "history",
    "keys_as_of",
    "past",
    "revert",
]

# The module of each public name. It is imported when somebody asks for the name, because Django imports this package
# before there are models.
_MODULES = {
    "MASKED": "stored_changes",
    "CutText": "stored_changes",
    "History": "histories",
    "Past": "past_instances",
    "ReadOnlyError": "past_instances",
    "Refusal": "reversals",
    "Related": "stored_changes",
    "Reversal": "reversals",
    "RevertRefused": "reversals",
    "Step": "reversals",
    "UnknownPastError": "points_in_time",
    "as_of": "rows_as_of",
    "audit": "audit_declarations",
    "history": "histories",
    "keys_as_of": "rows_as_of",
    "past": "past_instances",
    "revert": "reverting",
}

__getattr__ = lazy_names(__name__, _MODULES)
