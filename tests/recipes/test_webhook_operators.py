"""The admin and the command of webhooks: what they show, what they let people do, and whom."""

from datetime import timedelta
from io import StringIO

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.core.management import CommandError, call_command
from django.urls import reverse
from django.utils import timezone

from heliograph import Signal
from heliograph.outbox import drain
from heliograph.recipes import webhook
from heliograph.recipes.declarations import declarations
from heliograph.recipes.webhooks import disable, send_test
from heliograph.recipes.webhooks.models import Attempt, Endpoint, Message
from heliograph.signals import pre_save
from tests.helpers.endpoints import answer_with

pytestmark = pytest.mark.django_db

parcel_lost = Signal(name="shop.parcel_lost")


@pytest.fixture
def visit(client):
    """Log in a user with these permissions, and return the client."""

    def log_in(*names):
        user = User.objects.create_user("ada", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=names))
        client.force_login(user)
        return client

    return log_in


@pytest.fixture
def operator(visit):
    """The client of somebody who may do everything but see secrets."""
    return visit("view_endpoint", "add_endpoint", "change_endpoint", "view_attempt")


def page(name, *arguments):
    return reverse(f"admin:heliograph_webhooks_{name}", args=arguments)


def act(client, action, *rows, model="endpoint", **data):
    """Take an action for some rows, and return the page that follows."""
    chosen = {"action": action, "_selected_action": [row.pk for row in rows], **data}
    return client.post(page(f"{model}_changelist"), chosen, follow=True).content.decode()


def read(client, name, *arguments):
    response = client.get(page(name, *arguments))
    assert response.status_code == 200
    return response.content.decode()


def fresh(endpoint):
    return Endpoint.objects.get(pk=endpoint.pk)


# --- endpoints ----------------------------------------------------------------------------------------------------


def test_an_endpoint_is_added_with_the_events_that_declarations_name(operator, webhooks_here):
    webhook(parcel_lost, event="parcel.lost")
    try:
        assert 'value="parcel.lost"' in read(operator, "endpoint_add")
        operator.post(page("endpoint_add"), {"url": "https://hooks.example/", "events": ["parcel.lost"]})
    finally:
        declarations[-1].disconnect()
    assert Endpoint.objects.get().events == ["parcel.lost"]
    assert 'value="parcel.lost"' in read(operator, "endpoint_change", Endpoint.objects.get().pk)


def test_a_url_that_is_refused_is_an_error_of_the_form(operator):
    answer = operator.post(page("endpoint_add"), {"url": "http://hooks.example/"})
    assert "The URL must begin with https, so that nobody on the way can read what is sent." in answer.content.decode()
    assert not Endpoint.objects.exists()


def test_a_form_that_is_saved_leaves_the_state_as_it_is(operator, serve, connect):
    _, endpoint = serve()
    connect(pre_save, lambda **kwargs: Endpoint.objects.update(is_active=False), sender=Endpoint)
    operator.post(page("endpoint_change", endpoint.pk), {"url": "https://hooks.example/"})
    assert (fresh(endpoint).url, fresh(endpoint).is_active) == ("https://hooks.example/", False)


def test_r14_the_admin_shows_which_endpoints_are_disabled_and_why(operator, serve):
    server, endpoint = serve()
    server.answer = answer_with(410)
    send_test(endpoint)
    drain()
    shown = f"disabled since {timezone.localtime():%Y-%m-%d}"
    for text in (read(operator, "endpoint_changelist"), read(operator, "endpoint_change", endpoint.pk)):
        assert shown in text
        assert "It has answered 410 Gone." in text


STATES = {
    "active": {},
    "failing": {"first_failure_at": timezone.now()},
    "disabled": {"is_active": False, "disabled_at": timezone.now()},
}


@pytest.mark.parametrize("state", STATES)
def test_endpoints_are_filtered_by_their_state(operator, state):
    for name, values in STATES.items():
        Endpoint.objects.create(url=f"https://{name}.example/", **values)
    text = operator.get(page("endpoint_changelist"), {"state": state}).content.decode()
    assert [name for name in STATES if f"{name}.example" in text] == [state]


# --- secrets ------------------------------------------------------------------------------------------------------


def test_a_secret_is_on_no_page_of_an_endpoint(operator, serve):
    _, endpoint = serve()
    texts = [read(operator, "endpoint_changelist"), read(operator, "endpoint_change", endpoint.pk)]
    assert [text for text in texts if endpoint.secret[6:] in text] == []


def test_a_secret_is_shown_to_who_may_see_it_and_asks_for_it(visit, serve):
    client, (_, endpoint) = visit("view_endpoint", "reveal_secret"), serve()
    assert endpoint.secret[6:20] not in read(client, "endpoint_secret", endpoint.pk)
    assert not LogEntry.objects.exists()
    answer = client.post(page("endpoint_secret", endpoint.pk))
    assert f'<pre id="secret">{endpoint.secret}</pre>' in answer.content.decode()
    assert "no-store" in answer.headers["Cache-Control"]
    assert LogEntry.objects.get().change_message == "Has seen the secret."


def test_nobody_else_sees_it(operator, serve):
    _, endpoint = serve()
    assert operator.post(page("endpoint_secret", endpoint.pk)).status_code == 403
    assert operator.post(page("endpoint_secret", 0)).status_code == 404


def test_an_operator_gives_a_new_secret(operator, serve):
    _, endpoint = serve()
    act(operator, "rotate_secret", endpoint)
    assert fresh(endpoint).signing_secrets == [fresh(endpoint).secret, endpoint.secret]
    assert "the previous one signs until" in read(operator, "endpoint_change", endpoint.pk)


# --- actions ------------------------------------------------------------------------------------------------------


def test_an_operator_sends_a_test_event(operator, serve):
    server, endpoint = serve()
    assert "A worker sends a test event to 1 endpoint." in act(operator, "send_test", endpoint)
    drain()
    assert len(server.requests) == 1


def test_an_operator_disables_and_enables_an_endpoint(operator, serve):
    _, endpoint = serve()
    act(operator, "disable", endpoint)
    assert fresh(endpoint).disabled_reason == "ada has disabled it."
    act(operator, "enable", endpoint)
    assert (fresh(endpoint).state, fresh(endpoint).disabled_at) == ("active", None)


def test_an_operator_sends_again_what_an_endpoint_has_missed(operator, serve):
    server, endpoint = serve()
    Message.objects.create(id="msg_1", event="parcel.lost", body="{}")
    assert 'name="since_0"' in act(operator, "send_again", endpoint)
    since = timezone.localtime() - timedelta(hours=1)
    data = {"since_0": f"{since:%Y-%m-%d}", "since_1": f"{since:%H:%M:%S}"}
    assert "A worker sends 1 message to 1 endpoint." in act(operator, "send_again", endpoint, **data)
    drain()
    assert [request.headers["webhook-id"] for request in server.requests] == ["msg_1"]


def test_what_is_sent_again_begins_when_the_endpoint_began_to_fail(operator, serve):
    _, endpoint = serve()
    Endpoint.objects.update(first_failure_at=timezone.now() - timedelta(days=3))
    assert f'value="{timezone.localtime() - timedelta(days=3):%Y-%m-%d}"' in act(operator, "send_again", endpoint)


@pytest.mark.parametrize("action", ["send_test", "send_again", "enable", "disable", "rotate_secret"])
def test_who_may_only_look_takes_no_action(visit, serve, action):
    client, (_, endpoint) = visit("view_endpoint"), serve()
    disable(endpoint, "It is away.")
    act(client, action, endpoint)
    assert (fresh(endpoint).secret, fresh(endpoint).is_active) == (endpoint.secret, False)
    assert not Message.objects.exists()


# --- attempts -----------------------------------------------------------------------------------------------------


@pytest.fixture
def failed(serve):
    """An endpoint with an attempt that has failed."""
    server, endpoint = serve()
    server.answer = answer_with(500, "<b>no</b>")
    send_test(endpoint)
    drain()
    server.answer = answer_with(200)
    Endpoint.objects.update(first_failure_at=None, paused_until=None)
    return server, endpoint


def test_an_attempt_is_shown_with_what_was_sent_and_how_the_answer_began(operator, failed):
    attempt = Attempt.objects.get()
    text = read(operator, "attempt_change", attempt.pk)
    assert "The answer was 500." in text
    assert "&lt;b&gt;no&lt;/b&gt;" in text
    assert "webhook.test" in text
    assert "webhook.test" in read(operator, "attempt_changelist")


@pytest.mark.parametrize(("end", "count"), [("failed", 1), ("delivered", 0), ("", 1)])
def test_attempts_are_filtered_by_their_end(operator, failed, end, count):
    answer = operator.get(page("attempt_changelist"), {"end": end} if end else {})
    assert answer.context["cl"].result_count == count


def test_the_page_of_an_endpoint_leads_to_its_attempts(operator, failed):
    _, endpoint = failed
    link = f"{page('attempt_changelist')}?endpoint__id__exact={endpoint.pk}"
    assert f'href="{link}"' in read(operator, "endpoint_change", endpoint.pk)
    assert operator.get(link).context["cl"].result_count == 1


def test_an_operator_replays_an_attempt(operator, failed):
    server, _ = failed
    assert "A worker sends 1 message again." in act(operator, "replay", Attempt.objects.get(), model="attempt")
    drain()
    assert {request.headers["webhook-id"] for request in server.requests} == {Message.objects.get().pk}
    assert [*Attempt.objects.values_list("number", "status_code")] == [(1, 500), (1, 200)]


def test_who_may_only_look_replays_nothing(visit, failed):
    server, _ = failed
    act(visit("view_attempt"), "replay", Attempt.objects.get(), model="attempt")
    drain()
    assert len(server.requests) == 1


def test_attempts_are_neither_added_nor_changed_nor_deleted(operator, failed):
    attempt = Attempt.objects.get()
    assert operator.get(page("attempt_add")).status_code == 403
    assert operator.post(page("attempt_change", attempt.pk), {"error": ""}).status_code == 403
    assert operator.post(page("attempt_delete", attempt.pk), {"post": "yes"}).status_code == 403


# --- the command --------------------------------------------------------------------------------------------------


def output_of(verb):
    out = StringIO()
    call_command("webhooks", verb, stdout=out)
    return out.getvalue()


def test_the_status_lists_endpoints():
    one, other = (Endpoint.objects.create(url=f"https://{name}.example/?key=1") for name in "ab")
    assert output_of("status").splitlines() == [
        f"{one.pk}  active    https://a.example/",
        f"{other.pk}  active    https://b.example/",
    ]


def test_r14_the_status_says_which_endpoints_fail_or_are_disabled():
    out, at = StringIO(), timezone.now()
    Endpoint.objects.create(url="https://a.example/", first_failure_at=at)
    disable(Endpoint.objects.create(url="https://b.example/"), "It has answered 410 Gone.")
    with pytest.raises(CommandError) as raised:
        call_command("webhooks", "status", stdout=out)
    assert (str(raised.value), raised.value.returncode) == ("Look after 2 of 2 endpoints.", 1)
    failing, gone = out.getvalue().splitlines()
    assert failing.endswith(f"failing   https://a.example/  since {at:%Y-%m-%d %H:%M} UTC")
    assert gone.endswith("UTC: It has answered 410 Gone.")


def test_the_command_deletes_old_messages():
    Message.objects.create(id="msg_1", event="a", body="{}", created_at=timezone.now() - timedelta(days=31))
    assert output_of("prune") == "Pruned 1 message.\n"
    assert output_of("prune") == "Pruned 0 messages.\n"
