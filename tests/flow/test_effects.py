"""Effects: what a receiver does that a rollback does not undo is recorded with the receiver."""

import asyncio
import subprocess
import sys
import threading
from contextlib import suppress
from http.client import HTTPConnection
from pathlib import Path
from socket import create_server, socket
from tempfile import TemporaryFile
from urllib.request import urlopen

import django
import pytest
from django.core import mail
from django.core.cache import cache, caches
from django.core.mail import EmailMessage
from django.db import Error, connection, connections

from heliograph import Signal, rehearsal
from heliograph.databases import database_of
from heliograph.flow.effects.seen_effects import Effect, recording
from heliograph.flow.effects.watching_effects import watched_effects
from heliograph.signals import post_save
from tests.app.models import Article
from tests.app.models_of_books import Genre
from tests.helpers.patched import patched_methods

pytestmark = pytest.mark.django_db(transaction=True, databases="__all__")

HAS_SEQUENCES = not database_of(connection).undoes_sequences


@pytest.fixture
def watched(receive):
    """Return a function that saves a genre with a receiver in a rehearsal, and returns the effects of this receiver."""

    def effects_of(function, *args):
        def act(**kwargs):
            function(*args)

        receive(post_save, sender=Genre)(act)
        with rehearsal(), watched_effects() as effects:
            Genre.objects.create()
        mine = [effect for effect in effects if effect.receiver is not None]
        assert {effect.receiver for effect in mine} <= {act}
        return [(effect.kind, effect.text, effect.is_held) for effect in mine]

    return effects_of


@pytest.fixture
def fresh_cache():
    cache.clear()
    yield cache
    cache.clear()


# --- mail -------------------------------------------------------------------------------------------------------


def test_a_mail_is_held_and_named_by_its_subject_and_the_number_of_its_recipients(watched):
    message = EmailMessage("Welcome", "Hello", "shop@example.org", ["ada@example.org"], cc=["bob@example.org"])

    assert watched(message.send) == [("mail", "mail 'Welcome' to 2 recipients", True)]
    assert mail.outbox == []


def test_mails_that_another_thread_sends_meanwhile_are_sent():
    message = EmailMessage("Of another request", "", "shop@example.org", ["ada@example.org"])
    with watched_effects() as effects:
        in_other_context(message.send)

    assert [one.subject for one in mail.outbox] == ["Of another request"]
    assert effects == []


@pytest.mark.skipif(django.VERSION < (6, 1), reason="this is an older version of Django")
def test_a_project_needs_no_setting_for_mails(settings):
    settings.MAILERS = {}
    with watched_effects():
        pass
    del settings.MAILERS
    with watched_effects():
        pass


def in_other_context(function):
    """Call a function in a thread that nobody records, as of another request."""
    with recording(None):
        thread = threading.Thread(target=function)
        thread.start()
    thread.join()


# --- caches -----------------------------------------------------------------------------------------------------


def test_a_cache_is_read_as_it_was_written_and_nothing_of_it_stays(watched, fresh_cache):
    fresh_cache.set("kept", 1)
    seen = []

    def write():
        cache.set("new", [1, 2])
        cache.delete("kept")
        cache.incr("count") if cache.add("count", 5) else None
        seen.extend([cache.get("new"), cache.get("kept"), cache.get("count"), cache.get_many(["new", "count"])])

    effects = watched(write)

    assert seen == [[1, 2], None, 6, {"new": [1, 2], "count": 6}]
    assert {(kind, is_held) for kind, _, is_held in effects} == {("cache", True)}
    assert [text for _, text, _ in effects][:2] == ["cache default: set 'new'", "cache default: delete 'kept'"]
    assert fresh_cache.get_many(["new", "kept", "count"]) == {"kept": 1}


def test_a_cache_that_is_cleared_is_empty_for_the_block_only(watched, fresh_cache):
    fresh_cache.set("kept", 1)
    seen = []

    def clear():
        cache.clear()
        seen.append(cache.get("kept", "nothing"))

    assert watched(clear) == [("cache", "cache default: clear", True)]
    assert seen == ["nothing"]
    assert fresh_cache.get("kept") == 1


def test_a_method_that_only_one_cache_has_is_used_and_recorded_as_not_held(watched, fresh_cache, monkeypatch):
    called = []
    monkeypatch.setattr(type(caches["default"]), "lock", lambda self, name: called.append(name), raising=False)

    assert watched(lambda: cache.lock("a")) == [("cache", "cache default: lock", False)]
    assert called == ["a"]


def test_what_a_cache_above_has_is_gone_after_its_timeout_of_0(watched, fresh_cache):
    seen = []

    def write():
        cache.set("new", 1, timeout=0)
        seen.append((cache.get("new"), cache.touch("new")))

    watched(write)
    assert seen == [(None, False)]


# --- files, sockets, programs, threads --------------------------------------------------------------------------


def test_files_that_are_written_removed_and_renamed_are_named(watched, tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"

    def write():
        one.write_text("a")
        one.read_text()
        one.rename(other)
        other.unlink()
        (tmp_path / "made").mkdir()

    assert watched(write) == [
        ("file", f"file {one} is written", False),
        ("file", f"file {one} is renamed to {other}", False),
        ("file", f"file {other} is removed", False),
        ("file", f"directory {tmp_path / 'made'} is made", False),
    ]


def test_a_file_that_is_only_read_is_no_effect(watched):
    assert watched(Path(__file__).read_text) == []


def test_a_temporary_file_without_a_name_is_no_effect(watched):
    assert watched(lambda: TemporaryFile().close()) == []


def test_a_file_knows_whether_it_was_there_before(tmp_path):
    path = tmp_path / "one"
    with watched_effects() as effects:
        path.write_text("a")
        path.write_text("b")

    assert [one.about for one in effects] == [{str(path): False}, {str(path): True}]


def test_a_request_is_named_by_its_method_and_its_path():
    with create_server(("127.0.0.1", 0)) as server, watched_effects() as effects:
        port = server.getsockname()[1]
        client = HTTPConnection("127.0.0.1", port)
        client.request("POST", "/charges", body=b"1", headers={"Idempotency-Key": "a"})
        client.close()

    assert [one.text for one in effects] == [
        f"connection to 127.0.0.1:{port}",
        f"POST /charges to 127.0.0.1:{port}",
    ]
    assert b"Idempotency-Key: a" in effects[1].about


def test_a_connection_is_named_by_its_address(watched):
    with create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def connect():
            with socket() as client:
                client.connect(("127.0.0.1", port))

        assert watched(connect) == [("network", f"connection to 127.0.0.1:{port}", False)]


def test_a_request_is_named_by_the_address_of_its_server(watched):
    def request():
        with pytest.raises(OSError, match="refused"):
            urlopen("http://127.0.0.1:1/", timeout=60)

    assert watched(request) == [("network", "connection to 127.0.0.1:1", False)]


def test_a_program_is_named_by_its_path(watched):
    effects = watched(lambda: subprocess.run([sys.executable, "-c", ""], check=True))

    assert ("process", f"program {sys.executable} is started", False) in effects


def test_a_thread_is_named_and_what_it_does_is_counted_to_the_receiver_that_has_started_it(watched, tmp_path):
    def start():
        thread = threading.Thread(target=(tmp_path / "of thread").write_text, args=("a",), name="writer")
        thread.start()
        thread.join()

    assert watched(start) == [
        ("thread", "thread writer is started", False),
        ("file", f"file {tmp_path / 'of thread'} is written", False),
    ]


def test_without_the_hook_files_are_not_recorded(tmp_path):
    with watched_effects(hook=False) as effects:
        cache.get("a")
    assert effects == []


# --- databases --------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not HAS_SEQUENCES, reason="a rollback undoes the numbers of rows")
def test_a_sequence_is_named_by_the_column_that_it_numbers(watched):
    assert watched(Article.objects.create) == [("sequence", "sequence of app_article.id", False)]


def test_a_row_that_brings_its_number_takes_none_of_a_sequence(watched):
    assert watched(lambda: Article.objects.create(pk=4711)) == []


def test_a_write_to_a_database_that_is_not_rehearsed_is_recorded(receive):
    @receive(post_save, sender=Genre)
    def write_elsewhere(**kwargs):
        Article.objects.using("other").filter(pk=-1).update(words=1)
        list(Article.objects.using("other").all())

    with rehearsal("default"), watched_effects() as effects:
        Genre.objects.create()

    text = "UPDATE app_article on another connection to 'other'"
    assert Effect("database", text, write_elsewhere) in effects
    assert [effect.kind for effect in effects if effect.kind != "sequence"] == ["database"]


@pytest.mark.skipif(database_of(connection).has_one_writer, reason="the rehearsal keeps all other writers out")
def test_a_write_of_a_thread_is_recorded(watched):
    def write_in_thread():
        def write():
            try:
                Article.objects.filter(pk=-1).update(words=1)
            finally:
                connections.close_all()

        thread = threading.Thread(target=write, name="other")
        thread.start()
        thread.join()

    assert watched(write_in_thread) == [
        ("thread", "thread other is started", False),
        ("database", "UPDATE app_article on another connection to 'default'", False),
    ]


def test_a_write_that_another_connection_has_refused_is_no_effect(receive):
    @receive(post_save, sender=Genre)
    def write_elsewhere(**kwargs):
        with suppress(Error), connections["other"].cursor() as cursor:
            cursor.execute("UPDATE no_such_table SET words = 1")

    with rehearsal("default"), watched_effects() as effects:
        Genre.objects.create()

    assert [effect.kind for effect in effects if effect.kind != "sequence"] == []


@pytest.mark.skipif(connection.features.can_rollback_ddl, reason="a rollback undoes DDL")
def test_a_statement_that_commits_is_recorded(receive):
    with watched_effects() as effects, connection.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE heliograph_short (id int)")

    assert [effect.kind for effect in effects] == ["database"]


def test_an_effect_outside_of_receivers_has_none():
    with rehearsal(), watched_effects() as effects:
        EmailMessage("Alone", "", "shop@example.org", ["ada@example.org"]).send()

    assert effects == [Effect("mail", "mail 'Alone' to 1 recipient", None, is_held=True)]


def test_the_text_of_an_effect_names_the_receiver():
    assert str(Effect("mail", "mail 'Hello' to 1 recipient", test_an_effect_outside_of_receivers_has_none)) == (
        "mail 'Hello' to 1 recipient, by tests.flow.test_effects.test_an_effect_outside_of_receivers_has_none"
    )


async def test_effects_of_async_receivers_are_recorded_and_the_threads_of_asgiref_are_none(receive, tmp_path):
    signal = Signal(name="shop.async")

    async def write(**kwargs):
        await asyncio.sleep(0)
        (tmp_path / "of async").write_text("a")

    def write_too(**kwargs):
        (tmp_path / "of sync").write_text("a")

    signal.connect(write)
    signal.connect(write_too)
    with watched_effects() as effects:
        await signal.asend(None)

    assert sorted((effect.text, effect.receiver) for effect in effects) == [
        (f"file {tmp_path / 'of async'} is written", write),
        (f"file {tmp_path / 'of sync'} is written", write_too),
    ]


def test_v7_outside_of_the_block_no_method_and_no_cache_is_changed():
    before, cache_before = patched_methods(), caches["default"]
    with watched_effects():
        assert patched_methods() != before
        assert caches["default"] is not cache_before
    assert patched_methods() == before
    assert caches["default"] is cache_before
