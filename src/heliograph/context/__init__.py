"""Context that travels: who does something, why, and which request, command or cause it belongs to.

A `Context` is a frozen value, and a context variable has the current one. `acting` says who acts, `context` adds
other values, `ContextMiddleware` makes the context of a request. Every call that is kept for later, by
`BeforeCommit()`, `OnCommit()`, `OnRollback()`, `Durable()` or a batch, keeps the context of its send, and is made under
it: also after the block has ended that set it, in a worker, a day later.

    with transaction.atomic():
        with acting(ada, reason="import"):
            order.save()        # its calls keep Ada
        with acting(bob):
            invoice.save()      # its calls keep Bob
    # the COMMIT: each receiver sees in current().actor whose change it is called for
"""

from heliograph.context.actors import Actor
from heliograph.context.entering import acting, context
from heliograph.context.kept_context import EMPTY, Context, current

__all__ = ["EMPTY", "Actor", "Context", "acting", "context", "current"]
