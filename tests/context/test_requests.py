"""What a request does has its context: group W of the cases."""

import json

import pytest
from asgiref.sync import async_to_sync
from asgiref.testing import ApplicationCommunicator
from django.contrib.auth.models import User
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.db import connection
from django.db.models.signals import post_save
from django.http import HttpResponse, StreamingHttpResponse
from django.test import AsyncClient, Client, RequestFactory

from heliograph import BeforeCommit, Durable, Inline, OnCommit
from heliograph.context import EMPTY, acting, current
from heliograph.context.middleware import ContextMiddleware
from heliograph.outbox.models import Delivery
from tests.app.models import Article
from tests.helpers.statements import statements

pytestmark = pytest.mark.django_db(transaction=True)

POLICIES = pytest.mark.parametrize("policy", [Inline(), BeforeCommit(), OnCommit()], ids=repr)


@pytest.fixture(autouse=True)
def _project(settings):
    settings.ROOT_URLCONF = "tests.helpers.requested"
    settings.MIDDLEWARE = [
        "heliograph.context.middleware.ContextMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ]


@pytest.fixture
def ada():
    return User.objects.create_user("ada", password="secret")


@pytest.fixture
def client(ada):
    client = Client()
    client.force_login(ada)
    return client


@pytest.fixture
def async_client(ada):
    client = AsyncClient()
    async_to_sync(client.aforce_login)(ada)
    return client


@pytest.fixture
def saves(receive):
    """Connect a receiver: the list has the title, and the actor and request id of each call."""

    def connect(policy):
        seen = []

        @receive(post_save, sender=Article, delivery=policy)
        def look(sender, instance, **kwargs):
            seen.append((instance.title, str(current().actor), current().request_id))

        return seen

    return connect


def ids(seen):
    return {request_id for _, _, request_id in seen}


@POLICIES
@pytest.mark.parametrize("is_atomic", [False, True])
def test_w2_a_save_of_a_request_has_its_user_and_its_id(client, saves, policy, is_atomic):
    seen = saves(policy)
    connection.settings_dict["ATOMIC_REQUESTS"] = is_atomic
    try:
        client.get("/save/?title=a", headers={"X-Request-ID": "r1"})
    finally:
        connection.settings_dict["ATOMIC_REQUESTS"] = False
    assert seen == [("a", "ada", "r1")]
    assert current() is EMPTY


@POLICIES
def test_w2_a_save_of_an_async_view_has_its_user_and_its_id(async_client, saves, policy):
    seen = saves(policy)
    async_to_sync(async_client.get)("/save_async/?title=a", headers={"X-Request-ID": "r1"})
    assert seen == [("a", "ada", "r1")]


def test_w2_so_has_a_save_in_a_thread_or_a_task_of_an_async_view(async_client, saves):
    seen = saves(OnCommit())
    async_to_sync(async_client.get)("/save_in_threads/", headers={"X-Request-ID": "r1"})
    assert [title for title, *_ in seen] == ["sync_to_async", "to_thread", "task"]
    assert ids(seen) == {"r1"}
    assert {actor for _, actor, _ in seen} == {"ada"}


def test_w2_so_has_a_sync_view_below_asgi_and_an_async_view_below_wsgi(client, async_client, saves):
    seen = saves(OnCommit())
    client.get("/save_async/?title=a", headers={"X-Request-ID": "r1"})
    async_to_sync(async_client.get)("/save/?title=b", headers={"X-Request-ID": "r2"})
    assert seen == [("a", "ada", "r1"), ("b", "ada", "r2")]


def test_w2_an_async_receiver_has_the_context_of_the_request(client, receive):
    seen = []

    @receive(post_save, sender=Article, delivery=OnCommit())
    async def look(sender, **kwargs):
        seen.append(current().request_id)

    client.get("/save/", headers={"X-Request-ID": "r1"})
    assert seen == ["r1"]


def test_a_request_has_nothing_of_the_context_around_it(saves):
    seen = saves(Inline())
    with acting("bob", reason="a test"):
        Client().get("/save/")
        assert str(current().actor) == "bob"
    assert [actor for _, actor, _ in seen] == ["None"]


def test_a_view_that_fails_leaves_no_context(client, saves):
    seen = saves(Inline())
    client.raise_request_exception = False
    assert client.get("/fail/").status_code == 500
    assert [actor for _, actor, _ in seen] == ["ada"]
    assert current() is EMPTY


# --- servers ----------------------------------------------------------------------------------------------------


def cookies(client):
    return "; ".join(f"{one.key}={one.value}" for one in client.cookies.values())


def test_w2_a_request_by_wsgi(client, saves):
    seen = saves(OnCommit())
    environ = RequestFactory().get("/save/?title=a", HTTP_X_REQUEST_ID="r1", HTTP_COOKIE=cookies(client)).environ
    response = WSGIHandler()(environ, lambda status, headers: None)
    response.close()
    assert seen == [("a", "ada", "r1")]


@pytest.mark.parametrize("view", ["save", "save_async"])
def test_w2_a_request_by_asgi(client, saves, view):
    seen = saves(OnCommit())
    by_asgi(f"/{view}/", b"title=a", (b"cookie", cookies(client).encode()), (b"x-request-id", b"r1"))
    assert seen == [("a", "ada", "r1")]


@async_to_sync
async def by_asgi(path, query, *headers):
    scope = {"type": "http", "method": "GET", "path": path, "query_string": query, "headers": headers}
    communicator = ApplicationCommunicator(ASGIHandler(), {**scope, "asgi": {"version": "3.0"}})
    await communicator.send_input({"type": "http.request"})
    parts = []
    while True:
        part = await communicator.receive_output(60)
        parts.append(part)
        if part["type"] == "http.response.body" and not part.get("more_body"):
            await communicator.wait(60)
            return parts


@pytest.mark.parametrize("view", ["stream", "stream_async"])
@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume")
def test_w2_a_body_that_is_streamed_by_asgi_is_made_under_the_context_of_the_request(client, saves, view):
    seen = saves(OnCommit())
    parts = by_asgi(f"/{view}/", b"", (b"cookie", cookies(client).encode()), (b"x-request-id", b"r1"))
    assert b"".join(part.get("body", b"") for part in parts) == b"ab"
    assert seen == [("a", "ada", "r1"), ("b", "ada", "r1")]


@pytest.mark.parametrize("view", ["stream", "stream_async"])
@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume")
def test_w2_a_body_that_is_streamed_by_wsgi_is_made_under_the_context_of_the_request(client, saves, view):
    seen = saves(OnCommit())
    environ = RequestFactory().get(f"/{view}/", HTTP_X_REQUEST_ID="r1", HTTP_COOKIE=cookies(client)).environ
    response = WSGIHandler()(environ, lambda status, headers: None)
    assert seen == []
    with acting("bob"):
        assert b"".join(response) == b"ab"
        assert str(current().actor) == "bob"
    response.close()
    assert seen == [("a", "ada", "r1"), ("b", "ada", "r1")]


def test_a_body_whose_client_goes_away_in_a_block_of_acting_leaves_no_context_in_the_thread():
    ended = []

    def body():
        with acting("export"):
            try:
                yield b"one"
                yield b"two"
            finally:
                ended.append(True)

    middleware = ContextMiddleware(lambda request: StreamingHttpResponse(body()))
    response = middleware(RequestFactory().get("/"))
    assert next(iter(response)) == b"one"

    response.close()

    assert ended == [True]
    assert current() is EMPTY


def test_two_bodies_that_are_streamed_in_turn_do_not_mix(client, saves):
    seen = saves(OnCommit())
    bodies = [iter(client.get("/stream/", headers={"X-Request-ID": name}).streaming_content) for name in ("r1", "r2")]
    for _ in zip(*bodies, strict=True):
        assert current() is EMPTY
    assert [(title, name) for title, _, name in seen] == [("a", "r1"), ("a", "r2"), ("b", "r1"), ("b", "r2")]


# --- the user ---------------------------------------------------------------------------------------------------


def actors():
    """Return the actors that are stored, in the order of the deliveries."""
    return [json.loads(one.context).get("actor") for one in Delivery.objects.order_by("pk")]


@pytest.fixture
def _stored(receive):
    @receive(post_save, sender=Article, delivery=Durable())
    def store(sender, instance, **kwargs): ...


@pytest.mark.usefixtures("_stored")
def test_a_view_that_asks_for_no_user_and_writes_no_delivery_loads_none(client, receive):
    assert of_users(lambda: client.get("/stream/")) == []


def of_users(operation):
    """Call an operation, and return its statements about users."""
    return [text for text in statements(operation) if "auth_user" in text]


@pytest.mark.usefixtures("_stored")
def test_the_user_is_loaded_once_for_all_deliveries_of_a_request(client, ada):
    assert len(of_users(lambda: client.get("/save/"))) == 1
    assert [one[2] for one in actors()] == ["ada"]


@pytest.mark.usefixtures("_stored")
def test_an_actor_is_the_one_of_the_send_also_after_a_logout(client, ada):
    client.get("/log_out/")
    assert actors() == [["auth.User", str(ada.pk), "ada"], None]


@pytest.mark.usefixtures("_stored")
def test_after_a_login_the_actor_is_who_has_logged_in(ada):
    Client().get("/log_in/")
    assert actors()[1] == ["auth.User", str(ada.pk), "ada"]


@pytest.mark.usefixtures("_stored")
def test_also_in_an_async_view(ada):
    async_to_sync(AsyncClient().get)("/log_in_async/")
    assert actors() == [None, ["auth.User", str(ada.pk), "ada"]]


@pytest.mark.usefixtures("_stored")
def test_who_deletes_the_own_account_is_still_the_actor(client, ada):
    key = str(ada.pk)
    client.get("/delete_account/")
    [found] = actors()
    assert found == ["auth.User", key, "ada"]


def test_a_user_whom_async_code_has_loaded_is_not_loaded_again(async_client, saves):
    seen = saves(Inline())
    assert len(of_users(lambda: async_to_sync(async_client.get)("/asked/"))) == 1
    assert [actor for _, actor, _ in seen] == ["ada"]


def test_async_code_that_has_loaded_no_user_knows_the_one_of_the_session_or_nobody(async_client, ada):
    response = async_to_sync(async_client.get)("/ask_async/")
    assert response.content.startswith((b"None", f"auth.User {ada.pk}".encode()))


def test_in_a_broken_transaction_the_actor_is_no_error(client, ada):
    assert client.get("/cause_error/").content.decode() in ("None", "ada", f"auth.User {ada.pk}")


def test_a_user_who_is_not_logged_in_is_nobody(saves):
    seen = saves(Inline())
    Client().get("/save/")
    assert [actor for _, actor, _ in seen] == ["None"]


def test_a_project_without_users_has_requests_with_ids(settings, saves):
    settings.MIDDLEWARE = ["heliograph.context.middleware.ContextMiddleware"]
    seen = saves(Inline())
    Client().get("/save/", headers={"X-Request-ID": "r1"})
    assert seen == [("", "None", "r1")]


# --- headers ----------------------------------------------------------------------------------------------------


@pytest.fixture
def context_of(rf):
    """Return the context of a request with these headers."""

    def ask(**headers):
        found = []
        middleware = ContextMiddleware(lambda request: found.append(current()) or HttpResponse())
        middleware(rf.get("/", headers=headers))
        return found[0]

    return ask


def test_a_request_without_an_id_gets_one(context_of):
    first, second = context_of(), context_of()
    assert len(first.request_id) == len(second.request_id) == 32
    assert first.request_id != second.request_id


@pytest.mark.parametrize("text", ["", "a b", "x" * 129, "<script>", "a\x00b", "ä"])
def test_an_id_of_other_characters_is_not_taken(context_of, text):
    assert len(context_of(**{"X-Request-ID": text}).request_id) == 32


def test_the_header_is_a_setting(context_of, settings):
    settings.HELIOGRAPH = {"REQUEST_ID_HEADER": "X-Amzn-Trace-Id", "CORRELATION_ID_HEADER": None}
    found = context_of(**{"X-Amzn-Trace-Id": "Root=1-67891233", "X-Request-ID": "r", "X-Correlation-ID": "c"})
    assert (found.request_id, found.correlation_id) == ("Root=1-67891233", "")


def test_a_correlation_id_is_taken(context_of):
    assert context_of(**{"X-Correlation-ID": "c1"}).correlation_id == "c1"


def test_the_span_of_a_request_is_in_the_trace_of_its_header(context_of):
    parent = f"00-{'a' * 32}-{'b' * 16}-00"
    found = context_of(traceparent=parent)
    assert found.parent == parent
    assert (found.traceparent[:36], found.traceparent[-3:]) == (parent[:36], "-00")
    assert found.traceparent != parent


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        f"00-{'0' * 32}-{'b' * 16}-01",
        f"00-{'a' * 32}-{'b' * 16}-01-more",
        f"00-{'A' * 32}-{'b' * 16}-01",
    ],
)
def test_a_wrong_traceparent_begins_a_trace(context_of, text):
    found = context_of(traceparent=text)
    assert found.parent == ""
    assert len(found.traceparent) == 55


def test_a_traceparent_of_a_later_version_is_read_as_far_as_it_is_known(context_of):
    assert context_of(traceparent=f"01-{'a' * 32}-{'b' * 16}-01-more").parent == f"00-{'a' * 32}-{'b' * 16}-01"


def test_a_response_has_the_id_only_if_a_setting_says_so(client, settings):
    assert "X-Request-ID" not in client.get("/save/", headers={"X-Request-ID": "r1"})
    settings.HELIOGRAPH = {"REQUEST_ID_IN_RESPONSE": True}
    assert client.get("/save/", headers={"X-Request-ID": "r1"})["X-Request-ID"] == "r1"
