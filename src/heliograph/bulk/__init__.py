"""Bulk writes: signals of what Django writes in silence, with the rows that the database has really written.

`bulk_create()`, `bulk_update()`, `update()`, some deletions and changes of many-to-many relations send no signal for
each row. Here they do, where a receiver asks for it:

    @receiver(post_save, sender=Product, when=changed("price"), bulk=True)
    def log_price(sender, instance, changes, **kwargs): ...

    Product.objects.filter(shop=shop).update(price=F("price") + 1)      # calls log_price for each row, with both prices

A *target* is a signal and a sender; a *listening* says that somebody receives bulk writes at a target. The *audience*
of a model is the signals through which somebody receives its writes: without an audience, Django's own method runs,
with its own statements. With an audience, a *statement* of ours takes the place of Django's, and returns the *rows*:
their keys, old values and new values. The rows are *delivered*: by the signal of the write, such as `post_update`, row
by row to receivers of `post_save` and `post_delete`, and as a part of a batch.

One module has one kind of write (`create`, `bulk_update`, `update`, `delete`, `m2m`); beside it are its statements.
"""

from heliograph.bulk.signals import (
    deletion_asked,
    m2m_changes,
    post_bulk_create,
    post_bulk_delete,
    post_bulk_update,
    post_update,
    pre_bulk_create,
    pre_bulk_delete,
    pre_bulk_update,
    pre_update,
)

__all__ = [
    "deletion_asked",
    "m2m_changes",
    "post_bulk_create",
    "post_bulk_delete",
    "post_bulk_update",
    "post_update",
    "pre_bulk_create",
    "pre_bulk_delete",
    "pre_bulk_update",
    "pre_update",
]
