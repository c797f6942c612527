"""A machine of saves, rollbacks, bulk writes and redeliveries, seen by the verbs for tests alone."""

from contextlib import contextmanager, suppress

import pytest
from django.db import transaction
from django.db.models import F
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from heliograph import Durable, OnCommit, changed, created, receiver
from heliograph.outbox import Succeeded
from heliograph.signals import post_save
from heliograph.testing import Outbox, Signals, redelivered, rolled_back
from tests.app.models import Account, Writer

balances = st.integers(0, 9)


def index(instance, **kwargs):
    """Is called after the commit."""


def mirror(instance, **kwargs):
    """Keep the last balance of an account in a row of its own, the same if it is delivered twice."""
    Writer.objects.update_or_create(pk=instance.pk, defaults={"name": str(instance.balance)})


class UndoneError(Exception):
    """Rolls a transaction back."""


@contextmanager
def undone():
    """Roll a block back."""
    with suppress(UndoneError), transaction.atomic():
        yield
        raise UndoneError


class Writes(RuleBasedStateMachine):
    """Accounts that are written in each way, beside what is to come of it."""

    def __init__(self):
        super().__init__()
        self.signals, self.outbox = Signals(), Outbox()
        self.balances = {}  # by primary key
        self.indexed = self.waiting = 0  # calls after a commit, and deliveries that no worker has made yet
        receiver(post_save, sender=Account, when=created | changed("balance"), bulk=True, delivery=OnCommit())(index)
        receiver(post_save, sender=Account, when=created | changed("balance"), bulk=True, delivery=Durable())(mirror)

    @initialize()
    def watch(self):
        """Forget the rows of the example before."""
        Account.objects.all().delete()
        Writer.objects.all().delete()
        self.signals.__enter__()

    def teardown(self):
        self.signals.__exit__()
        self.outbox.drain()
        for function in (index, mirror):
            post_save.disconnect(function, sender=Account)

    # --- writes ---------------------------------------------------------------------------------------------------

    @rule(balance=balances)
    def create(self, balance):
        self.balances[Account.objects.create(balance=balance).pk] = balance
        self.caused(1)

    @rule(values=st.lists(balances, min_size=1, max_size=3))
    def create_in_bulk(self, values):
        for one in Account.objects.bulk_create([Account(balance=balance) for balance in values]):
            self.balances[one.pk] = one.balance
        self.caused(len(values))

    @precondition(lambda self: self.balances)
    @rule(balance=balances)
    def save(self, balance):
        account = Account.objects.first()
        is_change = account.balance != balance
        account.balance = self.balances[account.pk] = balance
        account.save()
        self.caused(int(is_change))

    @rule(by=st.integers(0, 2))
    def update(self, by):
        Account.objects.update(balance=F("balance") + by)
        self.balances = {key: balance + by for key, balance in self.balances.items()}
        self.caused(len(self.balances) if by else 0)

    # --- rollbacks ------------------------------------------------------------------------------------------------

    @rule(balance=balances)
    def create_and_roll_back(self, balance):
        with undone():
            self.write_much(balance)

    @rule(balance=balances)
    def prove_that_nothing_stays(self, balance):
        assert rolled_back(lambda: self.write_much(balance)) == []

    @rule(balance=balances)
    def roll_a_savepoint_back_and_commit_the_rest(self, balance):
        with transaction.atomic():
            self.balances[Account.objects.create(balance=balance).pk] = balance
            with undone():
                self.write_much(balance)
        self.caused(1)

    def write_much(self, balance):
        Account.objects.create(balance=balance)
        Account.objects.bulk_create([Account(balance=balance)])
        Account.objects.update(balance=F("balance") + 1)

    # --- deliveries -----------------------------------------------------------------------------------------------

    @rule()
    def drain(self):
        assert self.outbox.drain() == [Succeeded()] * self.waiting
        self.waiting = 0

    @rule(balance=balances, by_hand=st.booleans())
    def redeliver(self, balance, by_hand):
        [one] = redelivered(lambda: self.create(balance), by_hand=by_hand, raising=False)
        assert (one.receiver, one.differences) == (mirror, ())
        self.waiting -= 1

    # --- what always holds ----------------------------------------------------------------------------------------

    def caused(self, count):
        """Expect so many calls after the commit, and so many deliveries."""
        self.indexed += count
        self.waiting += count

    @invariant()
    def a_committed_change_is_called_for_once_and_a_rolled_back_one_never(self):
        if self.indexed:
            self.signals.assert_called(index, times=self.indexed)
        else:
            self.signals.assert_not_called(index)

    @invariant()
    def a_committed_change_has_one_delivery_and_a_rolled_back_one_none(self):
        assert len(self.outbox.enqueued(mirror)) == self.waiting

    @invariant()
    def the_rows_are_those_that_were_committed(self):
        assert dict(Account.objects.values_list("pk", "balance")) == self.balances

    @invariant()
    def when_nothing_waits_each_row_has_its_mirror(self):
        if not self.waiting:
            mirrored = {key: int(name) for key, name in Writer.objects.values_list("pk", "name")}
            assert mirrored == self.balances


@pytest.mark.django_db
def test_saves_rollbacks_bulk_writes_and_redeliveries_agree():
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large]
    run_state_machine_as_test(
        Writes,
        settings=settings(max_examples=40, stateful_step_count=15, suppress_health_check=checks, derandomize=True),
    )
