"""Receivers at the end of a transaction: before its commit, after it, after a rollback, or once for all its sends."""

from heliograph.transactions.batches import Batch, Event
from heliograph.transactions.policies import BeforeCommit, OnCommit, OnRollback
from heliograph.transactions.settling import UnsettledError

__all__ = ["Batch", "BeforeCommit", "Event", "OnCommit", "OnRollback", "UnsettledError"]
