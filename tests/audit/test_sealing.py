"""Seals close ranges of entries, one after the other, and never past a transaction that is still open."""

import threading
from contextlib import ExitStack
from datetime import UTC, datetime

import pytest
from django.db import connection, connections, transaction
from django.test.utils import CaptureQueriesContext

from heliograph.audit import audit, sealing, sealing_chore
from heliograph.audit.chain import rows
from heliograph.audit.models import Chain, Entry, Seal
from heliograph.audit.sealing import seal
from heliograph.databases import database_of
from heliograph.outbox.upkeep.chores import all_chores
from heliograph.outbox.upkeep.loop import Upkeep
from tests.app.models import Cart, Item
from tests.audit.logs import command, findings
from tests.helpers.threads import LONG, at_once, in_thread

pytestmark = pytest.mark.django_db(transaction=True)

has_many_writers = pytest.mark.skipif(database_of(connection).has_one_writer, reason="one transaction writes at a time")


@pytest.fixture
def cart():
    audit(Item)
    return Cart.objects.create()


def numbers():
    return [*Entry.objects.values_list("pk", flat=True)]


def ranges():
    return [*Seal.objects.values_list("pk", "first", "last", "count")]


def test_a_seal_has_all_entries_since_the_seal_before(cart):
    Item.objects.create(cart=cart)
    Item.objects.create(cart=cart)
    seal("default", wait=LONG)
    Item.objects.create(cart=cart)
    seal("default", wait=LONG)

    first, second, third = numbers()
    assert ranges() == [(1, first, second, 2), (2, third, third, 1)]
    assert findings() == []


def test_nothing_new_makes_no_seal(cart):
    Item.objects.create(cart=cart)

    assert seal("default", wait=LONG).entries == 1
    assert seal("default", wait=LONG).entries == 0
    assert len(ranges()) == 1


def test_a_log_without_entries_has_no_seal():
    done = seal("default", wait=LONG)

    assert (done.entries, done.head, done.left) == (0, None, 0)


def test_many_entries_make_several_seals(cart, monkeypatch):
    monkeypatch.setattr(sealing, "SIZE", 4)
    Item.objects.bulk_create([Item(cart=cart) for _ in range(10)])
    progress = []

    assert seal("default", wait=LONG, progress=progress.append).entries == 10

    assert [count for *_, count in ranges()] == [4, 4, 2]
    assert progress == [4, 8, 10]
    assert findings() == []


class Open:
    """A transaction of another thread that has an entry and stays open until `commit()`."""

    def __init__(self):
        self._written, self._end = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        assert self._written.wait(LONG)

    def _run(self):
        try:
            with transaction.atomic():
                self._flush()
                self._written.set()
                assert self._end.wait(LONG)
        finally:
            connections.close_all()

    def _flush(self):
        """Write an entry as the end of the transaction does, and stay open: an INSERT that a transaction has made."""
        rows(Entry, "default").bulk_create(
            [Entry(change_set_id=1, kind_id=1, object="open", text="{}", salt="", digest="")]
        )

    def commit(self):
        self._end.set()
        self._thread.join(LONG)


@pytest.fixture
def open_transaction():
    """Begin a transaction that has an entry and stays open, at the latest until the end of the test."""
    with ExitStack() as stack:

        def begin():
            opened = Open()
            stack.callback(opened.commit)
            return opened

        yield begin


@has_many_writers
def test_an_entry_of_an_open_transaction_is_not_left_out(cart, open_transaction):
    """Its id is lower than that of an entry which is committed already."""
    opened = open_transaction()
    Item.objects.create(cart=cart)

    done = seal("default", wait=0)
    assert (done.entries, done.left, done.waits_for) == (0, 1, 1)
    assert ranges() == []

    opened.commit()
    assert seal("default", wait=LONG).entries == 2
    assert Entry.objects.first().object == "open"
    assert Seal.objects.first().first == Entry.objects.first().pk


@has_many_writers
def test_a_transaction_that_began_after_the_mark_does_not_hinder(cart, open_transaction):
    """The mark of an earlier call is sealed, although there is always some transaction open."""
    first = open_transaction()
    Item.objects.create(cart=cart)
    assert seal("default").waits_for == 1
    first_id = numbers()[0]
    if connection.vendor == "mysql":  # which knows the time to the second only
        Chain._base_manager.update(marked_at=datetime(2000, 1, 1, tzinfo=UTC))
    open_transaction()
    first.commit()

    done = seal("default")

    assert done.entries > 0
    assert Seal.objects.first().first <= first_id
    assert done.waits_for == 1  # for the second, which was open at the next mark


def test_two_sealers_at_once_make_one_chain(cart, monkeypatch):
    monkeypatch.setattr(sealing, "SIZE", 2)
    Item.objects.bulk_create([Item(cart=cart) for _ in range(40)])

    done = at_once(*[lambda: seal("default", wait=LONG).entries] * 4)

    assert sum(done) == 40
    assert [count for *_, count in ranges()] == [2] * 20
    assert findings() == []


def test_sealers_and_writers_at_once_leave_nothing_out(cart, monkeypatch):
    monkeypatch.setattr(sealing, "SIZE", 7)

    def write():
        for _ in range(15):
            Item.objects.create(cart=cart)

    def close():
        for _ in range(10):
            seal("default", wait=0)

    at_once(write, write, close, close)
    in_thread(lambda: seal("default", wait=LONG))

    assert sum(count for *_, count in ranges()) == 30
    assert findings() == []


def test_a_sealer_that_dies_in_the_middle_leaves_a_whole_chain(cart, monkeypatch):
    monkeypatch.setattr(sealing, "SIZE", 2)
    Item.objects.bulk_create([Item(cart=cart) for _ in range(6)])

    def die(count):
        if count == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        seal("default", wait=LONG, progress=die)

    assert len(ranges()) == 2
    assert seal("default", wait=LONG).entries == 2
    assert findings() == []


def test_the_command_prints_the_head_and_appends_it_to_a_file(cart, tmp_path):
    Item.objects.create(cart=cart)
    file = tmp_path / "heads"

    printed = command("seal", "--head", str(file))
    Item.objects.create(cart=cart)
    command("seal", "--head", str(file))

    heads = [f"#{one.pk} {one.digest}" for one in Seal.objects.all()]
    assert "Sealed 1 entry." in printed
    assert heads[0] in printed
    assert file.read_text().splitlines() == heads


# --- workers of the outbox ----------------------------------------------------------------------------------------


def test_workers_of_the_outbox_seal(cart):
    Item.objects.create(cart=cart)

    Upkeep([one for one in all_chores() if one.name == "seal the audit log"]).do_due(["default"])

    assert [count for *_, count in ranges()] == [1]


def test_a_chore_that_is_added_again_takes_the_place_of_the_first():
    before = all_chores()

    sealing_chore.add()

    assert [one.name for one in all_chores()] == [one.name for one in before]


def test_a_database_that_a_router_keeps_without_the_log_is_not_sealed(settings):
    settings.DATABASE_ROUTERS = [Nowhere()]

    with CaptureQueriesContext(connection) as captured:
        sealing_chore.seal_where_it_is("default")

    assert len(captured) == 0


class Nowhere:
    """A router of a project whose other database has the audit log."""

    def allow_migrate(self, db, app_label, **hints):
        return app_label != "heliograph_audit"
