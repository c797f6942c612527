"""Bulk writes: who asks for it hears of them, with the rows that were really written."""

from heliograph.bulk.signals import (
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
