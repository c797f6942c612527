"""Receivers at the end of a transaction: before its commit, after it, after a rollback, or once for all its sends."""

from heliograph.transactions.batches import Batch, Event
from heliograph.transactions.end_policies import BeforeCommit, OnCommit, OnRollback
from heliograph.transactions.flush import UnsettledError

__all__ = ["Batch", "BeforeCommit", "Event", "OnCommit", "OnRollback", "UnsettledError"]
