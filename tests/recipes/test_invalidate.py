"""Keys of a cache that depend on rows: removed after the commit, beside the receivers of tutorials."""

import random
import re
import threading
import uuid
from contextlib import suppress
from functools import partial

import pytest
from django.core import serializers
from django.core.cache import cache, caches
from django.core.cache.backends.locmem import LocMemCache
from django.core.management import call_command
from django.db import connection, connections, transaction
from django.db.models import F
from django.test.utils import CaptureQueriesContext

from heliograph import mute, trace
from heliograph.dispatch.observed_events import Called
from heliograph.flow.patched_methods import patched_methods
from heliograph.recipes import cached, invalidate
from heliograph.recipes.cached_values import forget
from heliograph.recipes.declarations import declarations
from heliograph.recipes.invalidate import keys_changed
from heliograph.signals import post_save
from tests.app.models import Account, Draft, Pinned, Post, Topic
from tests.helpers.brokers import URLS
from tests.helpers.savepoints import UndoneError, by_hand
from tests.helpers.threads import LONG, at_once, in_thread

pytestmark = pytest.mark.django_db(databases=["default", "other"], transaction=True)

BACKENDS = {
    "memory": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
    "redis": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": URLS["redis"]},
    "database": {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "cached_values"},
}


def use_cache(settings, name):
    own = BACKENDS[name] | {"KEY_PREFIX": uuid.uuid4().hex}
    settings.CACHES = {"default": own, "pages": own | {"KEY_PREFIX": uuid.uuid4().hex}}


@pytest.fixture(autouse=True)
def _memory(settings):
    use_cache(settings, "memory")


@pytest.fixture
def database_cache(settings):
    use_cache(settings, "database")
    call_command("createcachetable", verbosity=0)
    yield
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE cached_values")


@pytest.fixture(params=BACKENDS)
def each_cache(request, settings):
    """Use each cache of Django."""
    if request.param == "database":
        request.getfixturevalue("database_cache")
    else:
        use_cache(settings, request.param)


def keys_of(post):
    return [f"post:{post.pk}", f"topic:{post.topic_id}"]


@pytest.fixture
def invalidated():
    return invalidate(Post, keys_of)


@pytest.fixture
def removed(monkeypatch):
    """The keys that each call of `delete_many()` removes, without those of generations."""
    calls, delete_many = [], LocMemCache.delete_many

    def record(store, keys, version=None):
        calls.append(sorted(key for key in keys if not key.startswith("generation:")))
        return delete_many(store, keys, version)

    monkeypatch.setattr(LocMemCache, "delete_many", record)
    return calls


@pytest.fixture
def topics():
    return Topic.objects.bulk_create([Topic(), Topic()])


def text_of(post, using="default"):
    return cached(f"post:{post.pk}", lambda: Post.objects.using(using).get(pk=post.pk).text)


# --- each kind of write -------------------------------------------------------------------------------------------


def move(post, topic):
    post.topic = topic
    return post


WRITES = {
    "save": lambda post, topic: move(post, topic).save(),
    "save(update_fields)": lambda post, topic: move(post, topic).save(update_fields=["topic"]),
    "save of a stale copy": lambda post, topic: Post(pk=post.pk, topic=topic, text=post.text).save(),
    "save of a deferred copy": lambda post, topic: move(Post.objects.only("text").get(pk=post.pk), topic).save(),
    "update_or_create": lambda post, topic: Post.objects.update_or_create(pk=post.pk, defaults={"topic": topic}),
    "update": lambda post, topic: Post.objects.filter(pk=post.pk).update(topic=topic),
    "update of an expression": lambda post, topic: Post.objects.filter(pk=post.pk).update(
        topic_id=F("topic_id") + topic.pk - post.topic_id
    ),
    "bulk_update": lambda post, topic: Post.objects.bulk_update([move(post, topic)], ["topic"]),
    "upsert": lambda post, topic: Post.objects.bulk_create(
        [move(post, topic)],
        update_conflicts=True,
        update_fields=["topic"],
        **({} if connection.vendor == "mysql" else {"unique_fields": ["pk"]}),
    ),
    "proxy": lambda post, topic: move(Draft.objects.get(pk=post.pk), topic).save(),
    "update of proxies": lambda post, topic: Draft.objects.filter(pk=post.pk).update(topic=topic),
}


@pytest.mark.parametrize("name", WRITES)
def test_r8_keys_of_the_old_and_of_the_new_state_are_removed_once_after_the_commit(invalidated, removed, topics, name):
    post = Post.objects.create(topic=topics[0], text="a")
    del removed[:]
    with transaction.atomic():
        WRITES[name](post, topics[1])
        assert removed == []
    assert removed == [sorted([f"post:{post.pk}", *(f"topic:{topic.pk}" for topic in topics)])]


@pytest.mark.parametrize("name", WRITES)
def test_each_kind_of_write_in_autocommit_removes_keys(invalidated, removed, topics, name):
    post = Post.objects.create(topic=topics[0], text="a")
    del removed[:]
    WRITES[name](post, topics[1])
    assert removed == [sorted([f"post:{post.pk}", *(f"topic:{topic.pk}" for topic in topics)])]


@pytest.mark.parametrize("name", WRITES)
def test_r8_a_write_that_is_rolled_back_removes_nothing(invalidated, removed, topics, name):
    post = Post.objects.create(topic=topics[0], text="a")
    del removed[:]
    with suppress(UndoneError), transaction.atomic():
        WRITES[name](post, topics[1])
        raise UndoneError
    assert removed == []


ENDS = {
    "delete": lambda post: post.delete(),
    "delete of a query": lambda post: Post.objects.filter(pk=post.pk).delete(),
    "cascade": lambda post: post.topic.delete(),
    "delete of a stale copy": lambda post: Post(pk=post.pk).delete(),
}


@pytest.mark.parametrize("name", ENDS)
def test_a_deletion_removes_the_keys_of_the_row(invalidated, removed, topics, name):
    post = Post.objects.create(topic=topics[0])
    keys = keys_of(post)
    del removed[:]
    ENDS[name](post)
    assert removed == [sorted(keys)]


def test_new_rows_remove_the_keys_that_count_them(invalidated, removed, topics):
    one, other = Post.objects.bulk_create([Post(topic=topic) for topic in topics])
    assert removed == [sorted(keys_of(one) + keys_of(other))]


def test_children_by_inheritance_have_the_keys_of_their_parent(invalidated, removed, topics):
    post = Pinned.objects.create(topic=topics[0])
    move(post, topics[1]).save()
    Pinned.objects.update(topic=topics[0])
    keys = sorted([f"post:{post.pk}", *(f"topic:{topic.pk}" for topic in topics)])
    assert removed == [sorted([f"post:{post.pk}", f"topic:{topics[0].pk}"]), keys, keys]
    del removed[:]
    Pinned.objects.update(rank=5)  # which is no column of the parent
    Pinned.objects.all().delete()
    assert removed == [sorted([f"post:{post.pk}", f"topic:{topics[0].pk}"])]


def test_a_declaration_for_a_proxy_is_one_for_its_table(removed):
    classes = []
    invalidate(Draft, lambda draft: classes.append(type(draft)) or f"draft:{draft.pk}")
    post = Post.objects.create()
    assert (removed, classes) == ([[f"draft:{post.pk}"]], [Draft])


def test_keys_are_those_of_the_row_and_not_of_a_stale_copy(invalidated, removed, topics):
    """The copy has the former topic, and does not write it."""
    post = Post.objects.create(topic=topics[0], text="a")
    stale = Post.objects.get()
    move(post, topics[1]).save()
    del removed[:]
    stale.text = "b"
    stale.save(update_fields=["text"])
    assert removed == [sorted([f"post:{post.pk}", f"topic:{topics[1].pk}"])]


def test_all_writes_of_a_transaction_remove_each_key_once(invalidated, removed, topics):
    invalidate(Topic, lambda topic: f"topic:{topic.pk}", cache="default")
    with transaction.atomic():
        posts = [Post.objects.create(topic=topics[0]) for _ in range(3)]
        move(posts[0], topics[1]).save()
        Topic.objects.update(posts=5)
    assert removed == [sorted({key for post in posts for key in keys_of(post)} | {f"topic:{topics[0].pk}"})]


def test_a_savepoint_that_is_rolled_back_removes_nothing(invalidated, removed, topics):
    with transaction.atomic():
        post = Post.objects.create(topic=topics[0])
        with by_hand("roll back"):
            Post.objects.create(topic=topics[1])
        with suppress(UndoneError), transaction.atomic():
            Post.objects.create(topic=topics[1])
            raise UndoneError
    assert removed == [sorted(keys_of(post))]


def test_a_save_that_changes_nothing_removes_nothing(invalidated, removed, topics):
    post = Post.objects.create(topic=topics[0])
    del removed[:]
    post.save()
    Post.objects.update(text=post.text)
    assert removed == []


def test_the_function_makes_no_query_for_an_update(topics):
    states = []
    invalidate(Post, lambda post: states.append((post.pk, post.topic_id, post.text)) or [])
    Post.objects.bulk_create([Post(topic=topics[0], text=text) for text in "ab"])
    del states[:]
    with CaptureQueriesContext(connection) as queries:
        Post.objects.update(text="c")
    assert sorted(text for _, _, text in states) == ["a", "b", "c", "c"]
    assert {topic for _, topic, _ in states} == {topics[0].pk}
    assert len(queries) <= 5  # BEGIN, the lock of SQLite, SELECT, UPDATE, COMMIT


def test_what_only_the_database_knows_is_loaded_for_the_function(removed):
    account = Account.objects.create(balance=5)
    invalidate(Account, lambda account: [f"balance:{account.balance}", f"twice:{account.twice}"])
    account.balance = F("balance") + 1
    account.save()
    assert removed == [["balance:5", "balance:6", "twice:10", "twice:12"]]


def test_rows_of_another_database_remove_their_keys(invalidated, removed):
    topic = Topic.objects.using("other").create()
    post = Post.objects.using("other").create(topic=topic, text="a")
    del removed[:]
    Post.objects.using("other").update(text="b")
    assert removed == [sorted(keys_of(post))]


def test_a_fixture_removes_the_keys_of_its_rows(invalidated, removed, topics, tmp_path):
    post = Post.objects.create(topic=topics[0])
    fixture = tmp_path / "posts.json"
    fixture.write_text(serializers.serialize("json", [move(post, topics[1])]))
    del removed[:]
    call_command("loaddata", fixture, verbosity=0)
    assert removed == [sorted([f"post:{post.pk}", *(f"topic:{topic.pk}" for topic in topics)])]


def test_a_cache_that_is_named_is_the_one_that_is_invalidated(topics):
    invalidate(Post, keys_of, cache="pages")
    post = Post.objects.create(topic=topics[0])
    for alias in ("default", "pages"):
        caches[alias].set(f"post:{post.pk}", 1)
    Post.objects.update(text="b")
    assert [caches[alias].get(f"post:{post.pk}") for alias in ("default", "pages")] == [1, None]


def test_a_cache_that_fails_breaks_no_write_and_no_other_cache(monkeypatch, caplog, topics):
    invalidate(Post, keys_of)
    invalidate(Post, keys_of, cache="pages")
    post, delete_many = Post.objects.create(topic=topics[0]), LocMemCache.delete_many
    caches["pages"].set(f"post:{post.pk}", 1)

    def fail_once(store, keys, version=None):
        monkeypatch.setattr(LocMemCache, "delete_many", delete_many)
        raise OSError("the cache is away")

    monkeypatch.setattr(LocMemCache, "delete_many", fail_once)
    Post.objects.update(text="b")
    assert caches["pages"].get(f"post:{post.pk}") is None
    assert "1 of the caches did not remove their keys" in caplog.text


# --- cached values ------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("each_cache")
@pytest.mark.parametrize("value", [5, None, "text", ["a", {"b": 1}], ("a", "b")])
def test_a_value_is_computed_once_until_it_is_invalidated(value):
    calls = []

    def compute():
        calls.append(1)
        return value

    assert [cached("key", compute) for _ in range(3)] == [value] * 3
    assert len(calls) == 1
    forget("default", ["key"])
    assert (cached("key", compute), len(calls)) == (value, 2)


def test_a_hit_is_one_round_trip(monkeypatch):
    cached("key", lambda: 1)
    calls, get_many = [], LocMemCache.get_many
    monkeypatch.setattr(LocMemCache, "get_many", lambda *args: calls.append(args) or get_many(*args))
    for name in ("add", "set", "touch"):
        monkeypatch.setattr(LocMemCache, name, None)
    assert (cached("key", lambda: 2), len(calls)) == (1, 1)


def test_a_value_ends_with_its_timeout():
    assert [cached("key", lambda: 1, timeout=0), cached("key", lambda: 2, timeout=0)] == [1, 2]


@pytest.mark.usefixtures("each_cache")
def test_a_generation_that_the_cache_has_evicted_does_not_bring_an_old_value_back():
    cached("key", lambda: "old")
    entry = cache.get("key")
    cache.delete("generation:key")
    assert cached("key", lambda: "new") == "new"
    cache.set("key", entry)
    assert cached("key", lambda: "newest") == "newest"


def test_what_others_have_put_under_a_key_is_no_value():
    for foreign in ("text", (1, 2), (None, 2), (), None):
        forget("default", ["key"])
        cache.set("key", foreign)
        assert cached("key", lambda: "ours") == "ours"
        cache.set("key", foreign)
        assert cached("key", lambda: "ours again") == "ours again"


# --- at the same time ---------------------------------------------------------------------------------------------


class Paused:
    """A reader that has read a row, and waits."""

    def __init__(self, post):
        self.post = post
        self.has_read, self.may_go_on = threading.Event(), threading.Event()

    def compute(self):
        text = Post.objects.get(pk=self.post.pk).text
        self.has_read.set()
        assert self.may_go_on.wait(LONG)
        return text

    def write(self, function):
        """Call a function between the reading and what follows."""
        assert self.has_read.wait(LONG)
        try:
            function()
        finally:
            self.may_go_on.set()


def write(post, text):
    with transaction.atomic():
        Post.objects.filter(pk=post.pk).update(text=text)


@pytest.mark.usefixtures("each_cache")
@pytest.mark.parametrize("is_known", [True, False])
@pytest.mark.parametrize("is_read_again", [True, False])
def test_r8_a_concurrent_reader_cannot_put_the_old_value_back(invalidated, topics, is_known, is_read_again):
    """It has read the row before the commit, and stores the value after the keys were removed."""
    post = Post.objects.create(topic=topics[0], text="old")
    if is_known:  # the generation, and not the value
        text_of(post)
        cache.delete(f"post:{post.pk}")
    paused = Paused(post)

    def change():
        write(post, "new")
        if is_read_again:
            assert text_of(post) == "new"

    read, _ = at_once(lambda: cached(f"post:{post.pk}", paused.compute), lambda: paused.write(change))
    assert read == "old"
    assert text_of(post) == "new"


@pytest.mark.parametrize("name", ["memory", "redis"])  # SQLite has one writer, and a database cache writes
def test_r8_a_reader_during_the_transaction_of_a_writer_stores_nothing_that_lasts(settings, invalidated, topics, name):
    use_cache(settings, name)
    post = Post.objects.create(topic=topics[0], text="old")
    with transaction.atomic():
        Post.objects.filter(pk=post.pk).update(text="new")
        assert in_thread(text_of, post) == "old"
    assert text_of(post) == "new"


@pytest.mark.usefixtures("each_cache")
def test_r8_readers_and_writers_end_with_the_values_of_the_database(invalidated, topics):
    posts = [Post.objects.create(topic=topics[0], text="0") for _ in range(3)]

    def reading(seed):
        choose = random.Random(seed)
        for _ in range(60):
            text_of(choose.choice(posts))

    def writing(seed):
        choose = random.Random(seed)
        for number in range(20):
            with suppress(UndoneError), transaction.atomic():
                Post.objects.filter(pk=choose.choice(posts).pk).update(text=f"{seed} {number}")
                if choose.random() < 0.2:
                    raise UndoneError

    at_once(*(partial(reading, seed) for seed in range(4)), *(partial(writing, seed) for seed in range(2)))
    assert [text_of(post) for post in posts] == [Post.objects.get(pk=post.pk).text for post in posts]


# --- inside a transaction -----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("each_cache")
def test_r8_a_transaction_that_has_changed_a_row_sees_its_own_value_and_does_not_store_it(invalidated, topics):
    post, other = (Post.objects.create(topic=topics[0], text="old") for _ in range(2))
    assert (text_of(post), text_of(other)) == ("old", "old")
    with suppress(UndoneError), transaction.atomic():
        write(post, "new")
        assert text_of(post) == "new"
        raise UndoneError
    assert text_of(post) == "old"
    assert cached(f"post:{post.pk}", lambda: "computed") == "old"


def test_after_a_rollback_of_a_savepoint_what_the_transaction_has_changed_is_still_its_own(invalidated, topics):
    post = Post.objects.create(topic=topics[0], text="old")
    text_of(post)
    with transaction.atomic():
        write(post, "new")
        with by_hand("roll back"):
            write(post, "undone")
        assert text_of(post) == "new"
    assert cached(f"post:{post.pk}", lambda: "from the commit") == "from the commit"


def test_a_receiver_of_the_same_save_does_not_store_what_may_be_rolled_back(connect, topics):
    post = Post.objects.create(topic=topics[0], text="old")
    connect(post_save, lambda sender, instance, **kwargs: text_of(instance), sender=Post)
    invalidate(Post, keys_of)
    with suppress(UndoneError), transaction.atomic():
        post.text = "new"
        post.save()
        raise UndoneError
    assert text_of(post) == "old"


@pytest.fixture
def snapshots(monkeypatch):
    """Let transactions of other threads see the database as it was at their first query."""
    if connection.vendor == "sqlite":
        connection.cursor().execute("PRAGMA journal_mode=WAL")
        yield
        connections["other"].close()
        connection.close()
        connection.cursor().execute("PRAGMA journal_mode=DELETE")
        return
    level = "repeatable read"
    if connection.vendor == "postgresql":
        from django.db.backends.postgresql.psycopg_any import IsolationLevel

        level = IsolationLevel.REPEATABLE_READ
    options = {**connection.settings_dict.get("OPTIONS", {}), "isolation_level": level}
    monkeypatch.setitem(connection.settings_dict, "OPTIONS", options)
    yield


def test_r8_a_transaction_that_reads_an_older_snapshot_stores_nothing(invalidated, topics, snapshots):
    post = Post.objects.create(topic=topics[0], text="old")
    has_begun, is_changed = threading.Event(), threading.Event()

    def read():
        with transaction.atomic():
            Topic.objects.count()
            has_begun.set()
            assert is_changed.wait(LONG)
            return text_of(post)

    def change():
        assert has_begun.wait(LONG)
        write(post, "new")
        is_changed.set()

    assert at_once(read, change)[0] == "old"
    assert text_of(post) == "new"


@pytest.mark.skipif(connection.vendor == "sqlite", reason="the transaction of a reader keeps writers out")
def test_r8_a_transaction_stores_nothing_in_a_database_cache(database_cache, invalidated, topics):
    """The writer does not see its generation, and so could not remove it."""
    post = Post.objects.create(topic=topics[0], text="old")
    has_read, is_changed = threading.Event(), threading.Event()

    def read():
        with transaction.atomic():
            text = text_of(post)
            has_read.set()
            assert is_changed.wait(LONG)
        return text

    def change():
        assert has_read.wait(LONG)
        write(post, "new")
        is_changed.set()

    assert at_once(read, change)[0] == "old"
    assert text_of(post) == "new"


def test_a_transaction_that_sees_each_commit_stores_what_it_computes(invalidated, topics):
    post = Post.objects.create(topic=topics[0], text="old")
    with transaction.atomic():
        text_of(post)
    assert cached(f"post:{post.pk}", lambda: "computed") == "old"


@pytest.mark.django_db
def test_inside_a_test_case_keys_are_removed_and_values_stored_as_in_production(invalidated, topics):
    post = Post.objects.create(topic=topics[0], text="old")
    text_of(post)
    assert cached(f"post:{post.pk}", lambda: "computed") == "old"
    write(post, "new")
    assert text_of(post) == "new"
    assert cached(f"post:{post.pk}", lambda: "computed") == "new"


# --- the declaration ----------------------------------------------------------------------------------------------


def test_r18_disconnected_it_leaves_no_patch_and_no_receiver(no_kept_error, removed):
    before = patched_methods(), [*post_save.receivers]
    declaration, other = invalidate(Post, keys_of), invalidate(Topic, lambda topic: [])
    assert (declaration.disconnect(), declaration.disconnect()) == (True, False)
    assert keys_changed.has_listeners()
    other.disconnect()
    assert (patched_methods(), post_save.receivers) == before
    assert not keys_changed.has_listeners()
    Post.objects.create()
    assert removed == []


def test_r18_muted_it_does_nothing(invalidated, removed):
    with mute(Post):
        Post.objects.create().delete()
    assert removed == []


def test_r18_it_is_seen_by_a_trace(invalidated):
    with trace() as traced:
        Post.objects.create()
    names = [one.receiver.__name__ for one in traced.events if isinstance(one, Called)]
    assert "invalidate(app.Post)" in names


def test_a_declaration_reads_as_it_was_written():
    assert invalidate(Post, keys_of).text == "invalidate(app.Post, keys_of)"
    assert invalidate("app.Post", keys_of, cache="pages").text == "invalidate('app.Post', keys_of, cache='pages')"


@pytest.mark.parametrize(
    ("declare", "text"),
    [
        (
            partial(invalidate, Post, "post:{pk}"),
            "invalidate(app.Post, 'post:{pk}'): keys are a function of a row. Write: lambda row: [f'key:{row.pk}'].",
        ),
        (
            partial(invalidate, Post, keys_of, cache="page"),
            "invalidate(app.Post, keys_of, cache='page'): there is no cache 'page' in settings.CACHES. There are:"
            " 'default', 'pages'.",
        ),
        (
            partial(invalidate, Pinned, keys_of),
            "invalidate(app.Pinned, keys_of): app.Pinned is a multi-table child, and a write of its columns in app.Post"
            " may not say so. Declare it for app.Post, whose rows are those of all its children.",
        ),
    ],
)
def test_a_declaration_that_cannot_be_right_is_refused_where_it_stands(declare, text):
    with pytest.raises(TypeError, match=re.escape(text)):
        declare()
    assert declarations == []


# --- the receivers of tutorials -----------------------------------------------------------------------------------


def by_hand_cached(key, compute):
    """Return a value as most code caches it."""
    value = cache.get(key)
    if value is None:
        value = compute()
        cache.set(key, value)
    return value


@pytest.fixture
def deletes_key(connect):
    """The receiver that most answers recommend."""

    def delete_key(sender, instance, **kwargs):
        cache.delete(f"post:{instance.pk}")

    connect(post_save, delete_key, sender=Post)


@pytest.fixture
def deletes_key_on_commit(connect):
    def delete_key(sender, instance, **kwargs):
        transaction.on_commit(lambda: cache.delete(f"post:{instance.pk}"))

    connect(post_save, delete_key, sender=Post)


def test_control_the_tutorials_receiver_lets_a_reader_put_the_old_value_back_before_the_commit(deletes_key, topics):
    post = Post.objects.create(topic=topics[0], text="old")
    with transaction.atomic():
        post.text = "new"
        post.save()
        in_thread(lambda: by_hand_cached(f"post:{post.pk}", lambda: Post.objects.get(pk=post.pk).text))
    assert cache.get(f"post:{post.pk}") == "old"


def test_control_deleting_the_key_after_the_commit_lets_a_slow_reader_put_it_back(deletes_key_on_commit, topics):
    post = Post.objects.create(topic=topics[0], text="old")
    paused = Paused(post)

    def save():
        Post(pk=post.pk, topic=topics[0], text="new").save()

    at_once(lambda: by_hand_cached(f"post:{post.pk}", paused.compute), lambda: paused.write(save))
    assert cache.get(f"post:{post.pk}") == "old"
    assert Post.objects.get().text == "new"


def test_control_the_tutorials_receiver_leaves_the_old_key_and_misses_an_update(deletes_key, topics):
    post = Post.objects.create(topic=topics[0], text="old")
    cache.set(f"post:{post.pk}", "old")
    Post.objects.update(text="new")
    assert cache.get(f"post:{post.pk}") == "old"
