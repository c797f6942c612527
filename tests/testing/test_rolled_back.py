"""`rolled_back()` finds the effects that a rollback does not undo, and accuses no receiver that leaves none."""

import logging
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from socket import create_server, socket
from tempfile import NamedTemporaryFile
from urllib.request import urlopen

import pytest
from asgiref.sync import sync_to_async
from django.core.cache import cache
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage
from django.core.mail import send_mail
from django.db import connection, transaction

from heliograph import BeforeCommit, Durable, Inline, OnCommit, OnRollback, created, rehearsal
from heliograph.dispatch.describe import source
from heliograph.outbox.models import Delivery
from heliograph.signals import post_save
from heliograph.testing import rolled_back
from tests.app.models import Genre, Page, Writer

pytestmark = pytest.mark.django_db(databases="__all__")

log = logging.getLogger("shop")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Let receivers write files into a folder of the test."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def send(**kwargs):
    send_mail("Welcome", "Hello", "shop@example.org", ["ada@example.org"])


# --- ten mistakes -------------------------------------------------------------------------------------------------


def cache_name(instance, **kwargs):
    cache.set("name", instance.name)


def empty_cache(**kwargs):
    cache.delete("name")


def export(**kwargs):
    Path("export.csv").write_text("a;b")


def store_cover(**kwargs):
    FileSystemStorage("covers").save("cover.png", ContentFile(b"png"))


def request(**kwargs):
    with suppress(OSError):
        urlopen("http://127.0.0.1:1/", timeout=60)


def connect(**kwargs):
    with create_server(("127.0.0.1", 0)) as server, socket() as client:
        client.connect(server.getsockname())


def start_thread(**kwargs):
    thread = threading.Thread(target=int)
    thread.start()
    thread.join()


def start_program(**kwargs):
    subprocess.run([sys.executable, "-c", ""], check=True)


def write_elsewhere(**kwargs):
    Page.objects.using("other").create()


WRONG = [
    (send, Inline(), "mail"),
    (send, BeforeCommit(), "mail"),
    (cache_name, Inline(), "cache"),
    (empty_cache, Inline(), "cache"),
    (export, Inline(), "file"),
    (store_cover, BeforeCommit(), "file"),
    (request, Inline(), "network"),
    (connect, Inline(), "network"),
    (start_thread, Inline(), "thread"),
    (start_program, BeforeCommit(), "process"),
    (write_elsewhere, Inline(), "database"),
]


@pytest.mark.parametrize(("function", "policy", "kind"), WRONG, ids=lambda one: getattr(one, "__name__", str(one)))
def test_k5_an_effect_that_stays_is_found_with_its_receiver(receive, function, policy, kind):
    receive(post_save, sender=Genre, delivery=policy)(function)

    stayed = rolled_back(Genre.objects.create, raising=False)

    assert (kind, function) in {(one.kind, one.receiver) for one in stayed}
    assert {one.receiver for one in stayed} == {function}
    assert not Genre.objects.exists()
    with pytest.raises(AssertionError, match=f"by {function.__module__}.{function.__qualname__} "):
        rolled_back(Genre.objects.create)


# --- ten right receivers ------------------------------------------------------------------------------------------


def send_on_commit(**kwargs):
    transaction.on_commit(send)


def write_rows(**kwargs):
    Writer.objects.create(name="Ada")
    Genre.objects.update(name="Drama")


def read_file(**kwargs):
    Path(__file__).read_text()


def read_cache(**kwargs):
    cache.get("name")


def use_scratch_file(**kwargs):
    with NamedTemporaryFile() as file:
        file.write(b"scratch")


def say(**kwargs):
    log.warning("A genre was saved")


async def wait(**kwargs):
    await sync_to_async(Writer.objects.count)()


RIGHT = [
    (send, OnCommit()),
    (send, Durable()),
    (send, OnRollback()),
    (send_on_commit, Inline()),
    (write_rows, Inline()),
    (write_rows, BeforeCommit()),
    (read_file, Inline()),
    (read_cache, Inline()),
    (use_scratch_file, Inline()),
    (say, Inline()),
    (wait, Inline()),
]


@pytest.mark.parametrize(("function", "policy"), RIGHT, ids=lambda one: getattr(one, "__name__", str(one)))
def test_k5_a_receiver_without_effects_that_stay_is_not_accused(receive, function, policy):
    receive(post_save, sender=Genre, delivery=policy)(function)

    assert rolled_back(Genre.objects.create) == []
    assert not Genre.objects.exists()
    assert not Delivery.objects.exists()


def test_k5_a_file_that_is_removed_after_a_rollback_does_not_stay(receive, folder):
    receive(post_save, sender=Genre)(export)

    @receive(post_save, sender=Genre, delivery=OnRollback())
    def remove(**kwargs):
        (folder / "export.csv").unlink()

    assert rolled_back(Genre.objects.create) == []


def test_k5_a_receiver_whose_condition_does_not_hold_is_not_accused(receive):
    genre = Genre.objects.create()
    receive(post_save, sender=Genre, when=created)(send)

    assert rolled_back(genre.save) == []


# --- the report ---------------------------------------------------------------------------------------------------


def test_a_failure_lists_each_effect_with_its_receiver_and_what_to_write(receive):
    receive(post_save, sender=Genre)(send)

    def add():
        Genre.objects.create()
        cache.set("genres", 1)

    with pytest.raises(AssertionError) as caught:
        rolled_back(add)

    file, line = source(send)
    assert str(caught.value) == (
        "A rollback does not undo these 2 effects:\n"
        f"  mail 'Welcome' to 1 recipient, by tests.testing.test_rolled_back.send ({file}:{line})\n"
        "    Connect it with delivery=OnCommit(), or with delivery=Durable() if it must not be lost.\n"
        "  cache default: set 'genres', outside of receivers\n"
        "    Call it with transaction.on_commit(...).\n"
        "Effects that are meant are allowed by receiver or by kind: allowed=[send], allowed=['mail']."
    )


def test_what_is_meant_is_allowed_by_receiver_or_by_kind(receive):
    receive(post_save, sender=Genre)(empty_cache)

    assert rolled_back(Genre.objects.create, allowed=["cache"]) == []
    assert rolled_back(Genre.objects.create, allowed=[empty_cache]) == []
    with pytest.raises(AssertionError, match="A rollback does not undo this:"):
        rolled_back(Genre.objects.create, allowed=["mail", send])


def test_a_file_that_was_there_before_and_is_removed_stays_removed(folder):
    (folder / "kept").touch()

    assert [one.kind for one in rolled_back((folder / "kept").unlink, raising=False)] == ["file"]


def test_a_write_to_a_database_that_is_in_the_transaction_is_undone(receive):
    receive(post_save, sender=Genre)(write_elsewhere)

    assert rolled_back(Genre.objects.create, using=["default", "other"]) == []
    assert not Page.objects.using("other").exists()


def test_receivers_before_the_commit_see_what_each_other_has_written(receive):
    seen = []
    receive(post_save, sender=Genre, delivery=BeforeCommit())(write_rows)

    @receive(post_save, sender=Writer, delivery=BeforeCommit())
    def count(**kwargs):
        seen.append(Writer.objects.count())

    assert rolled_back(Genre.objects.create) == []
    assert seen == [1]


def test_the_error_of_the_path_is_raised_and_the_transaction_is_rolled_back():
    def fail():
        Genre.objects.create()
        raise LookupError("no carrier")

    with pytest.raises(LookupError, match="no carrier"):
        rolled_back(fail)
    assert not Genre.objects.exists()


# --- durable blocks -----------------------------------------------------------------------------------------------


@transaction.atomic(durable=True)
def create_durably():
    Genre.objects.create()


@pytest.mark.parametrize("kind", ["db", "transactional_db"])
def test_a_durable_block_is_rolled_back_with_its_receivers(receive, request, kind):
    request.getfixturevalue(kind)
    receive(post_save, sender=Genre, delivery=BeforeCommit())(send)
    receive(post_save, sender=Genre, delivery=OnCommit())(export)

    stayed = rolled_back(create_durably, raising=False)

    assert [(one.kind, one.receiver) for one in stayed] == [("mail", send)]
    assert not Genre.objects.exists()


def test_receivers_on_rollback_are_called_for_a_durable_block(receive):
    called = []

    @receive(post_save, sender=Genre, delivery=OnRollback())
    def clean_up(**kwargs):
        called.append(connection.in_atomic_block)

    assert rolled_back(create_durably) == []
    assert len(called) == 1


def test_two_durable_blocks_are_rolled_back_together():
    def create_twice():
        create_durably()
        create_durably()

    assert rolled_back(create_twice) == []
    assert not Genre.objects.exists()


def test_a_durable_block_inside_of_a_block_is_refused_as_in_production():
    with pytest.raises(RuntimeError, match="cannot be nested"):
        rolled_back(transaction.atomic(create_durably))


def test_a_rehearsal_of_the_path_is_refused_as_in_production():
    def rehearse():
        with rehearsal("default"):
            Genre.objects.create()

    with pytest.raises(transaction.TransactionManagementError, match="begin the rehearsal outside"):
        rolled_back(rehearse)


def test_after_the_proof_a_durable_block_of_the_test_is_as_before():
    rolled_back(create_durably)
    create_durably()

    assert Genre.objects.count() == 1


# --- where it is refused ------------------------------------------------------------------------------------------


def test_inside_of_a_transaction_of_the_test_it_is_refused():
    with (
        transaction.atomic(),
        pytest.raises(transaction.TransactionManagementError, match=r"begin the rehearsal outside of atomic\(\)"),
    ):
        rolled_back(Genre.objects.create)


# --- each kind of test --------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_without_a_transaction_of_the_test_the_path_is_rolled_back_too(receive):
    receive(post_save, sender=Genre)(send)

    assert [one.kind for one in rolled_back(Genre.objects.create, raising=False)] == ["mail"]
    assert not Genre.objects.exists()
    assert not connection.in_atomic_block


async def test_a_coroutine_function_is_rolled_back_from_an_async_test(receive, async_database):
    receive(post_save, sender=Genre)(send)

    stayed = await sync_to_async(rolled_back)(Genre.objects.acreate, raising=False)

    assert [(one.kind, one.receiver) for one in stayed] == [("mail", send)]
    assert not await Genre.objects.aexists()
