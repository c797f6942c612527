"""A search server: OpenSearch() speaks the protocol of OpenSearch and Elasticsearch, by itself and below a recipe."""

import datetime
import re
import ssl
import subprocess
import sys
from contextlib import closing
from decimal import Decimal
from importlib import import_module
from uuid import uuid4

import pytest
import trustme
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction
from django.db.models import Q
from urllib3.exceptions import NewConnectionError, ReadTimeoutError, SSLError

from heliograph import mute
from heliograph.outbox import Again, Dead, Succeeded, drain
from heliograph.outbox.models import Delivery
from heliograph.recipes import IndexingError, search_index
from heliograph.recipes.indexing import ComparableBackend
from heliograph.recipes.search_server import OpenSearch, SearchServerError
from tests.app.models import Article, Voucher
from tests.helpers.attempts import at_once as retry_at_once
from tests.helpers.attempts import types
from tests.helpers.endpoints import serving
from tests.helpers.recipes_command import run
from tests.helpers.search_server import SearchServer

pytestmark = pytest.mark.django_db(databases=["default", "other"])

NO_DATE = {"type": "mapper_parsing_exception", "reason": "failed to parse field [day]"}
OVERLOADED = {"type": "cluster_block_exception", "reason": "disk usage exceeded flood-stage watermark"}


@pytest.fixture
def server():
    with SearchServer().running() as server:
        yield server


@pytest.fixture
def posts(server):
    return OpenSearch(server.url, index="posts")


@pytest.fixture
def articles(posts):
    return search_index(Article, ["title"], when=Q(words__gt=0), into=posts, retry=retry_at_once(attempts=2))


def article(title="a", **values):
    return Article.objects.create(**{"title": title, "words": 1, **values})


# --- the protocol -------------------------------------------------------------------------------------------------


def test_documents_are_written_replaced_and_removed(server, posts):
    posts.write({1: {"title": "a", "words": 2}, 2: {"title": "b"}}, "default")
    posts.write({1: {"title": "c"}}, "default")
    assert server.indexes == {"posts": {"1": {"title": "c"}, "2": {"title": "b"}}}
    posts.remove([1, 3], "default")  # there is no 3
    assert server.indexes == {"posts": {"2": {"title": "b"}}}
    assert {(method, path) for method, path, _ in server.requests} == {("POST", "/posts/_bulk")}


def test_values_are_written_as_django_makes_them_json(server, posts):
    key, day = uuid4(), datetime.date(2026, 5, 1)
    document = {"title": "é\n", "day": day, "price": Decimal("1.50"), "key": key, "none": None}
    posts.write({key: document}, "default")
    assert server.indexes["posts"] == {
        str(key): {"title": "é\n", "day": "2026-05-01", "price": "1.50", "key": str(key), "none": None}
    }
    assert posts.wrong({key: document}, [key], "default") == {}


def test_a_refused_document_is_named_and_others_are_written(server, posts):
    server.refused = {"2": NO_DATE, "3": NO_DATE}
    with pytest.raises(IndexingError) as raised:
        posts.write({pk: {"title": "a"} for pk in (1, 2, 3)}, "default")
    assert str(raised.value) == (
        "2 of 3 documents are refused by the server (2, 3): mapper_parsing_exception: failed to parse field [day]"
    )
    assert server.titles() == {"1": "a"}


def test_what_is_wrong_with_documents(server, posts):
    posts.write({1: {"title": "a"}, 2: {"title": "b"}, 3: {"title": "c"}}, "default")
    rows = {1: {"title": "a"}, 2: {"title": "x"}, 4: {"title": "d"}}
    assert isinstance(posts, ComparableBackend)
    assert posts.wrong(rows, [1, 2, 3, 4, 5], "default") == {2: "outdated", 3: "left over", 4: "missing"}


def test_an_index_that_does_not_exist_has_no_documents(server, posts):
    posts.remove([1], "default")
    assert server.indexes == {}
    assert posts.wrong({1: {"title": "a"}}, [1, 2], "default") == {1: "missing"}
    assert [*posts.pks("default")] == []


def test_a_document_that_cannot_be_read_is_an_error(server, posts):
    server.unreadable = {"2": OVERLOADED}
    with pytest.raises(SearchServerError, match=r"The document '2' cannot be read: cluster_block_exception: disk"):
        posts.wrong({}, [2], "default")


def test_keys_are_listed_page_by_page_and_the_server_may_forget_the_list(server, posts):
    posts.write({pk: {} for pk in range(7)}, "default")
    server.page = 3
    assert [*posts.pks("default")] == [str(pk) for pk in range(7)]
    assert len(server.requests) == 1 + 1 + 4 + 1  # write, refresh, pages up to an empty one, forget
    assert server.scrolls == {}


def test_a_list_that_is_left_early_is_forgotten_too(server, posts):
    posts.write({pk: {} for pk in range(7)}, "default")
    with closing(posts.pks("default")) as keys:
        assert next(keys) == "0"
    assert server.scrolls == {}


def test_a_list_without_the_documents_of_a_shard_is_an_error(server, posts):
    posts.write({1: {}}, "default")
    server.failed_shards = 1
    with pytest.raises(SearchServerError, match=r'has not searched all documents: \{"total": 1'):
        [*posts.pks("default")]


def test_headers_are_sent_with_each_request_and_never_shown(server):
    posts = OpenSearch(f"{server.url}/", index="posts", headers={"Authorization": "ApiKey abc"})
    posts.write({1: {}}, "default")
    [*posts.pks("default")]
    assert {headers["Authorization"] for _, _, headers in server.requests} == {"ApiKey abc"}
    assert repr(posts) == f"OpenSearch('{server.url}', index='posts')"


@pytest.mark.parametrize("status", [200, 302, 401, 413, 429, 503])
def test_an_answer_that_is_an_error_or_a_page_of_a_proxy_is_repeated(server, posts, status):
    body = "<h1>Sign in</h1>" if status == 200 else '{"error": "so", "items": [{"index": {}}]}'
    server.answer = status, body + " " * 1000
    with pytest.raises(SearchServerError, match=re.escape(f"/posts/_bulk is answered with {status}: {body}")) as raised:
        posts.write({1: {}}, "default")
    assert len(str(raised.value)) < 500


def test_a_server_that_does_not_answer_is_left_after_the_timeout():
    with serving() as silent:
        silent.answer = lambda request, handler: handler.connection.recv(1)  # until the client hangs up
        with pytest.raises(ReadTimeoutError):
            OpenSearch(silent.url(path=""), index="posts", timeout=0.2).write({1: {}}, "default")


def test_a_certificate_must_be_of_an_authority_that_is_trusted(tmp_path):
    authority, ca_file = trustme.CA(), tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(ca_file)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with SearchServer().running(context) as server:
        url = server.url.replace("http:", "https:")
        OpenSearch(url, index="posts", ca_file=str(ca_file)).write({1: {"title": "a"}}, "default")
        with pytest.raises(SSLError):
            OpenSearch(url, index="posts").write({1: {"title": "b"}}, "default")
    assert server.titles() == {"1": "a"}


@pytest.mark.parametrize("url", ["search.internal", "localhost:9200", "ftp://search.internal", "https://"])
def test_something_else_than_a_url_is_refused(url):
    with pytest.raises(ValueError, match=r"give the URL of the server, such as 'https://localhost:9200'\."):
        OpenSearch(url, index="posts")


def test_a_password_in_the_url_is_refused_and_not_shown():
    with pytest.raises(ValueError, match=r"has a password\. Give headers=make_headers") as raised:
        OpenSearch("https://ada:secret@search.internal", index="posts")
    assert "secret" not in str(raised.value)


# --- below a recipe -----------------------------------------------------------------------------------------------


def due():
    """Return the titles that the server should have."""
    return {str(pk): title for pk, title in Article.objects.filter(words__gt=0).values_list("pk", "title")}


WRITES = {
    "create": lambda: article("b"),
    "bulk_create": lambda: Article.objects.bulk_create([Article(title="b", words=1)]),
    "update": lambda: Article.objects.update(title="b"),
    "row that is made a draft": lambda: Article.objects.update(words=0),
    "delete": lambda: Article.objects.get().delete(),
}


@pytest.mark.parametrize("write", WRITES)
def test_the_server_has_what_each_kind_of_write_has_left(articles, server, write):
    article("a")
    drain()
    assert [*server.titles().values()] == ["a"]
    WRITES[write]()
    assert types(drain()) == [Succeeded]
    assert server.titles() == due()
    assert [*server.titles().values()] != ["a"]


def test_rows_of_another_database_are_in_its_index(articles, server):
    Article.objects.using("other").create(pk=5, title="there", words=1)
    article("here", pk=5)
    drain("other")
    assert (server.titles(), server.titles("posts-other")) == ({}, {"5": "there"})
    drain()
    assert (server.titles(), server.titles("posts-other")) == ({"5": "here"}, {"5": "there"})
    assert run("verify", "--database", "other") == (0, ["1 verified, 0 wrong"])


def test_a_refused_document_is_a_dead_letter_and_others_are_written(articles, server):
    with transaction.atomic():
        rows = Article.objects.bulk_create([Article(title=title, words=1) for title in "abc"])
    key = rows[1].pk
    server.refused = {str(key): NO_DATE}
    assert types(drain()) == [Again, Dead]
    assert [*server.titles().values()] == ["a", "c"]
    assert Delivery.objects.get().error == (
        f"IndexingError: 1 of 3 rows are not indexed ({key}): 1 of 1 documents are refused by the server ({key}):"
        " mapper_parsing_exception: failed to parse field [day]"
    )


def test_a_server_that_is_away_and_comes_back_has_all():
    away = SearchServer()
    with away.running():
        search_index(Article, ["title"], into=OpenSearch(away.url, index="posts"), retry=retry_at_once(attempts=2))
        article("a")
        drain()
    Article.objects.update(title="b")
    assert types(drain(limit=1)) == [Again]
    assert away.titles() == {str(Article.objects.get().pk): "a"}
    with pytest.raises(NewConnectionError):
        run("verify")
    with away.running():
        away.answer = 503, "not ready"
        with pytest.raises(SearchServerError):
            run("verify")
        away.answer = None
        assert types(drain()) == [Succeeded]
    assert away.titles() == due() == {str(Article.objects.get().pk): "b"}


def test_backfill_makes_the_index_and_verify_finds_what_is_left_over(articles, server):
    with mute(Article):
        one, two, draft = article("a"), article("b"), article("draft", words=0)
    assert run("backfill") == (0, ["1 verified, 2 filled"])
    assert server.titles() == due()
    server.indexes["posts"] |= {str(draft.pk): {"title": "draft"}, "900": {"title": "gone"}}
    server.indexes["posts"][str(two.pk)]["title"] = "x"
    del server.indexes["posts"][str(one.pk)]
    assert run("verify") == (
        1,
        [
            f"app.Article.search_index of {one.pk} is missing, not the row",
            f"app.Article.search_index of {two.pk} is outdated, not the row",
            f"app.Article.search_index of {draft.pk} is left over, not the row",
            "app.Article.search_index of 900 is left over, not gone",
            "1 verified, 4 wrong",
        ],
    )
    assert run("backfill") == (0, ["1 verified, 4 filled"])
    assert run("verify") == (0, ["1 verified, 0 wrong"])
    assert server.titles() == due()


def test_keys_may_be_uuids(server, posts):
    search_index(Voucher, ["code"], into=posts)
    one = Voucher.objects.create(code="a")
    drain()
    server.indexes["posts"][str(uuid4())] = {"code": "gone"}
    assert run("backfill") == (0, ["1 verified, 1 filled"])
    assert server.indexes["posts"] == {str(one.pk): {"code": "a"}}


# --- the extra ----------------------------------------------------------------------------------------------------


def test_the_recipes_do_not_import_it():
    names = "{'urllib3', 'heliograph.recipes.search_server'}"
    program = f"import sys, heliograph.recipes; sys.exit(str({names} & {{*sys.modules}}))"
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert finished.stderr == "set()\n"


def test_without_the_package_it_says_what_to_install(monkeypatch):
    monkeypatch.delitem(sys.modules, "heliograph.recipes.search_server")
    monkeypatch.setitem(sys.modules, "urllib3", None)
    with pytest.raises(ImproperlyConfigured, match=r"pip install 'heliograph\[search\]'"):
        import_module("heliograph.recipes.search_server")
