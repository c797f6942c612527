"""Transactions: receivers that are called at the end of a transaction, each send for itself or all of them in a batch.

    @receiver(post_save, sender=Order, delivery=OnCommit())
    def send_mail(sender, instance, **kwargs): ...

    with transaction.atomic():
        order.save()                    # the call is kept pending
                                        # COMMIT; now send_mail is called. After a rollback it is never called

A *pending* call waits in Django's own list of functions to call on commit, until its *stage*: before the commit, last
of all before it, after it, or after a rollback. To *flush* a transaction is to make the calls that are due before its
commit, and the calls that these cause. A save in autocommit is an `AutocommitSave`: one transaction for the row and the
calls that belong to it. A *batch* has one *event* for each row, the *net* change of all its sends.

`end_policies` has the policies, `ending` the patches, `flush` the end of a block, `collect` what is kept for a batch.
`before_write` has the policy whose calls are made at the other end of a write, before its statement.
"""

from heliograph.transactions.batches import Batch, Event
from heliograph.transactions.before_write import BeforeWrite
from heliograph.transactions.end_policies import BeforeCommit, OnCommit, OnRollback
from heliograph.transactions.flush import UnsettledError

__all__ = ["Batch", "BeforeCommit", "BeforeWrite", "Event", "OnCommit", "OnRollback", "UnsettledError"]
