"""Receivers at the end of a transaction: before its commit, after it, or once for everything in it."""

from heliograph.transactions.batches import Batch, Event
from heliograph.transactions.policies import BeforeCommit, OnCommit
from heliograph.transactions.settling import UnsettledError

__all__ = ["Batch", "BeforeCommit", "Event", "OnCommit", "UnsettledError"]
