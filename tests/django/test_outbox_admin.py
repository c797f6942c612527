"""The admin of deliveries: what it shows, what it lets people do, and whom."""

import json
import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from heliograph import Durable, Signal
from heliograph.outbox import admin
from heliograph.outbox.models import Delivery, State
from tests.django.deliveries import RECEIVER, deliver, deliver_many

pytestmark = pytest.mark.django_db

sent = Signal(name="shop.sent")

EVIL = "<script>alert('no')</script>"
SAFE = "&lt;script&gt;alert(&#x27;no&#x27;)&lt;/script&gt;"

FINISHED = [State.SUCCESSFUL, State.DEAD, State.DISCARDED]


def note(**payload):
    """A durable receiver."""


@pytest.fixture
def visit(client):
    """Log in a user with these permissions of deliveries, and return the client."""

    def log_in(*permissions, **options):
        user = User.objects.create_user("ada", is_staff=True, **options)
        names = [f"{permission}_delivery" for permission in permissions]
        user.user_permissions.set(Permission.objects.filter(codename__in=names))
        client.force_login(user)
        return client

    return log_in


@pytest.fixture
def operator(visit):
    """The client of somebody who may do everything that there is to do."""
    return visit("view", "redeliver", "discard")


def place(name, *arguments):
    return reverse(f"admin:heliograph_outbox_delivery_{name}", args=arguments)


def listing(client, **filters):
    return client.get(place("changelist"), filters)


def listed(client, **filters):
    """Return the ids of what is listed."""
    return [delivery.pk for delivery in listing(client, **filters).context["cl"].result_list]


def page_of(client, delivery):
    return client.get(place("change", delivery.pk)).content.decode()


def act(client, action, *deliveries, **more):
    chosen = {"action": action, "_selected_action": [delivery.pk for delivery in deliveries], **more}
    return client.post(place("changelist"), chosen, follow=True)


def said(response):
    return [str(message) for message in response.context["messages"]]


def states():
    return [State(state) for state in Delivery.objects.values_list("state", flat=True)]


# --- the list -----------------------------------------------------------------------------------------------------


def test_the_newest_is_listed_first(operator):
    deliveries = [deliver() for _ in range(3)]
    assert listed(operator) == [delivery.pk for delivery in reversed(deliveries)]


def test_a_line_has_what_one_looks_for(operator):
    deliver(State.DEAD, key="42", queue="slow")
    html = listing(operator).content.decode().replace("<wbr>", "")
    assert f">{RECEIVER}<" in html
    for text in ("dead", "app.Writer", "42", "slow", "MishapError: no"):
        assert f">{text}<" in html


def test_a_line_has_five_columns_for_which_there_is_room_beside_the_filter(operator):
    deliver(State.DEAD, key="42", queue="slow", attempts=1)
    html = listing(operator).content.decode()
    columns = re.findall(r'<th scope="col" class="(?:sortable )?column-(\w+)', html)
    assert columns == ["id", "state_and_attempts", "receiver_in_queue", "short_error", "created_at"]
    assert ">1 attempt<" in html
    assert "queue <span>slow</span>, key <span>42</span>" in html


def test_a_line_has_its_time_to_the_second(operator):
    delivery = deliver()
    Delivery.objects.update(created_at=datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC))
    assert '<time class="delivery-time" datetime="2030-01-02T03:04:05+00:00">' in listing(operator).content.decode()
    with timezone.override(ZoneInfo("Asia/Tokyo")):
        assert "2030-01-02 12:04:05<" in page_of(operator, delivery)


def test_a_time_that_has_not_come_is_a_dash_and_keeps_its_help(operator):
    html = page_of(operator, deliver())
    assert re.search(r'class="[^"]*field-finished_at".*?<div class="readonly">-</div>', html, re.DOTALL)
    assert "When the next attempt may begin." in html


@pytest.mark.parametrize(("count", "words"), [(1, "1 delivery"), (2, "2 deliveries")])
def test_a_list_says_how_many_it_has(operator, count, words):
    deliver_many(count)
    assert re.search(rf'class="paginator".*>\s*{words}\s*</', listing(operator).content.decode(), re.DOTALL)


def test_a_long_error_is_cut(operator):
    deliver(State.DEAD, error="x" * 1000)
    html = listing(operator).content.decode()
    assert f"{'x' * 99}…" in html
    assert "x" * 100 not in html


def test_an_error_is_listed_as_text(operator):
    deliver(State.DEAD, error=EVIL, key=EVIL, sender=EVIL)
    html = listing(operator).content.decode()
    assert EVIL not in html
    assert html.count(SAFE) == 3


def test_a_list_reads_no_payloads(operator):
    deliver()
    with CaptureQueriesContext(connection) as queries:
        listing(operator)
    assert not [query for query in queries if "payload" in query["sql"]]


def test_a_list_counts_no_further_than_it_goes(operator, monkeypatch):
    monkeypatch.setattr(admin, "MOST", 5)
    deliver_many(7)
    with CaptureQueriesContext(connection) as queries:
        response = listing(operator)
    assert response.context["cl"].result_count == 5
    counts = [query["sql"] for query in queries if re.search(r"COUNT\(\*\)", query["sql"])]
    assert len(counts) == 1
    assert "LIMIT 6" in counts[0]


def test_a_list_that_ends_before_the_last_one_says_so(operator, monkeypatch):
    monkeypatch.setattr(admin, "MOST", 5)
    deliver_many(6)
    assert "There are more than 5:" in listing(operator).content.decode()


def test_a_list_of_all_says_nothing_of_others(operator):
    deliver_many(5)
    assert "There are more than" not in listing(operator).content.decode()


def test_a_list_has_pages(operator):
    deliver_many(60)
    assert len(listed(operator, p=2)) == 10


@pytest.mark.parametrize("state", State)
def test_those_in_a_state_can_be_listed(operator, state):
    deliveries = {one: deliver(one) for one in State}
    assert listed(operator, state=state.value) == [deliveries[state].pk]


@pytest.mark.parametrize("name", ["queue", "receiver", "backend"])
def test_those_of_a_name_can_be_listed(operator, name):
    deliver()
    chosen = deliver(**{name: "another"})
    assert listed(operator, **{name: "another"}) == [chosen.pk]


def test_filters_offer_what_waits_or_is_dead(operator):
    deliver(receiver="shop.waits", queue="first")
    deliver(State.DEAD, receiver="shop.dead", queue="second")
    offered = {
        spec.title: [name for name, _ in spec.lookup_choices] for spec in listing(operator).context["cl"].filter_specs
    }
    assert {"shop.waits", "shop.dead"} <= {*offered["receiver"]}
    assert {"first", "second"} <= {*offered["queue"]}


def test_filters_offer_what_is_connected(operator, connect):
    connect(sent, note, delivery=Durable(queue="third"))
    deliver()
    offered = {
        spec.title: [name for name, _ in spec.lookup_choices] for spec in listing(operator).context["cl"].filter_specs
    }
    assert f"{__name__}.note" in offered["receiver"]
    assert "third" in offered["queue"]


def test_a_state_that_does_not_exist_filters_nothing(operator):
    delivery = deliver()
    assert listed(operator, state="LOST") == [delivery.pk]


@pytest.mark.parametrize("name", ["receiver", "key", "error", "sender"])
def test_parts_of_what_is_listed_can_be_searched(operator, name):
    deliver()
    found = deliver(**{name: "something to find here"})
    assert listed(operator, q="to find") == [found.pk]


def test_one_can_be_searched_by_its_number(operator):
    deliveries = [deliver() for _ in range(3)]
    assert listed(operator, q=deliveries[1].pk) == [deliveries[1].pk]


# --- one delivery -------------------------------------------------------------------------------------------------


def test_one_is_shown_with_what_was_sent(operator):
    delivery = deliver(payload=json.dumps({"kwargs": {"number": 3, "name": "Zoë"}}))
    html = page_of(operator, delivery)
    assert "&quot;kwargs&quot;: {\n    &quot;number&quot;: 3,\n    &quot;name&quot;: &quot;Zoë&quot;\n  }" in html


def test_a_payload_that_is_no_json_is_shown_as_it_is(operator):
    assert "{no json" in page_of(operator, deliver(payload="{no json"))


def test_one_is_shown_with_its_attempts(operator):
    failure = {"attempt": 1, "at": "2030-01-02T03:04:05+00:00", "worker": "worker 7", "error": "MishapError: no"}
    html = page_of(operator, deliver(history=json.dumps(failure) + "\n"))
    cells = re.findall("<td>(.*?)</td>", html.partition("delivery-attempts")[2])
    assert cells[0] == "1"
    assert "2030" in cells[1]
    assert cells[2:] == ["worker 7", "MishapError: no"]


def test_each_attempt_has_a_row(operator):
    failures = [{"attempt": one, "at": "at some time", "worker": "", "error": ""} for one in (1, 2, 3)]
    html = page_of(operator, deliver(history="".join(json.dumps(failure) + "\n" for failure in failures)))
    assert html.count("<td>at some time</td>") == 3


def test_one_is_shown_with_its_traceback(operator):
    assert "Traceback (most recent call last)" in page_of(operator, deliver(State.DEAD))


def test_all_of_it_is_shown_as_text(operator):
    failure = {"attempt": 1, "at": EVIL, "worker": EVIL, "error": EVIL}
    texts = dict.fromkeys(("error", "traceback", "receiver", "signal", "sender", "key", "worker", "queue"), EVIL)
    html = page_of(operator, deliver(State.DEAD, payload=json.dumps(EVIL), history=json.dumps(failure), **texts))
    assert EVIL not in html
    assert html.count(SAFE) >= len(texts) + 4


def test_nothing_can_be_written(operator):
    delivery = deliver(State.DEAD)
    assert not re.findall(r'<(?:textarea|select|input type="text")', page_of(operator, delivery))


@pytest.mark.parametrize(
    ("state", "buttons"),
    [
        (State.READY, ["discard"]),
        (State.RUNNING, []),
        (State.SUCCESSFUL, ["redeliver"]),
        (State.DEAD, ["redeliver", "discard"]),
        (State.DISCARDED, ["redeliver"]),
    ],
)
def test_there_are_buttons_for_what_can_be_done(operator, state, buttons):
    assert re.findall('<button [^>]*name="action" value="(.*?)"', page_of(operator, deliver(state))) == buttons


def test_a_button_leads_back_to_the_delivery(operator):
    delivery = deliver(State.DEAD)
    response = act(operator, "redeliver", delivery, _delivery="1")
    assert response.redirect_chain == [(place("change", delivery.pk), 302)]


def test_one_that_does_not_exist_leads_to_the_index(operator):
    assert operator.get(place("change", 0)).url == reverse("admin:index")


# --- what can be done ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", FINISHED)
def test_what_has_finished_can_be_redelivered(operator, state):
    response = act(operator, "redeliver", deliver(state))
    assert said(response) == ["Redelivered 1 delivery."]
    assert states() == [State.READY]


@pytest.mark.parametrize("state", [State.READY, State.DEAD])
def test_what_waits_or_is_dead_can_be_discarded(operator, state):
    response = act(operator, "discard", deliver(state))
    assert said(response) == ["Discarded 1 delivery."]
    assert states() == [State.DISCARDED]


def test_only_what_is_selected_is_changed(operator):
    first, _ = deliver(State.DEAD), deliver(State.DEAD)
    act(operator, "redeliver", first)
    assert states() == [State.READY, State.DEAD]


def test_what_runs_is_not_discarded(operator):
    response = act(operator, "discard", deliver(State.RUNNING), deliver())
    assert said(response) == ["Discarded 1 delivery. The other 1 stays: only what is ready or dead can be discarded."]
    assert states() == [State.RUNNING, State.DISCARDED]


def test_what_cannot_be_done_to_any_is_said(operator):
    response = act(operator, "redeliver", deliver(), deliver(State.RUNNING))
    assert said(response) == [
        "Redelivered 0 deliveries. The other 2 stay: only what is successful, dead or discarded can be redelivered."
    ]


def test_who_has_discarded_it_is_noted(operator):
    act(operator, "discard", deliver())
    assert Delivery.objects.get().error == "discarded by ada"


def test_what_was_done_is_in_the_history_of_the_delivery(operator):
    delivery = deliver(State.DEAD)
    act(operator, "redeliver", delivery)
    entry = LogEntry.objects.get()
    assert (entry.object_id, entry.change_message, entry.user.username) == (str(delivery.pk), "Redelivered.", "ada")


def test_all_that_a_filter_finds_can_be_changed_at_once(operator):
    deliver_many(60, State.DEAD)
    deliver_many(2, State.DISCARDED)
    first = Delivery.objects.filter(state=State.DEAD).first()
    chosen = {"action": "redeliver", "_selected_action": [first.pk], "select_across": "1"}
    response = operator.post(f"{place('changelist')}?state=DEAD", chosen, follow=True)
    assert said(response) == ["Redelivered 60 deliveries."]
    assert sorted({*states()}) == [State.DISCARDED, State.READY]


# --- by whom ------------------------------------------------------------------------------------------------------


def test_who_may_not_look_sees_nothing(visit):
    client, delivery = visit(), deliver()
    assert listing(client).status_code == 403
    assert client.get(place("change", delivery.pk)).status_code == 403


def test_who_may_look_sees_the_list_and_one(visit):
    client, delivery = visit("view"), deliver()
    assert listed(client) == [delivery.pk]
    assert RECEIVER in page_of(client, delivery)


@pytest.mark.parametrize(
    ("permissions", "actions"),
    [
        (["view"], []),
        (["view", "redeliver"], ["redeliver"]),
        (["view", "discard"], ["discard"]),
        (["view", "redeliver", "discard"], ["redeliver", "discard"]),
    ],
)
def test_each_action_has_a_permission(visit, permissions, actions):
    client, delivery = visit(*permissions), deliver(State.DEAD)
    assert re.findall('<option value="([a-z]+)"', listing(client).content.decode()) == actions
    assert re.findall('name="action" value="(.*?)"', page_of(client, delivery)) == actions


@pytest.mark.parametrize("action", ["redeliver", "discard"])
def test_who_has_no_permission_cannot_do_it_by_hand_either(visit, action):
    act(visit("view"), action, deliver(State.DEAD))
    assert states() == [State.DEAD]


def test_a_superuser_may_do_everything(visit):
    client = visit(is_superuser=True)
    act(client, "redeliver", deliver(State.DEAD))
    assert states() == [State.READY]


def test_nobody_may_add_one(visit):
    client = visit(is_superuser=True)
    assert client.get(place("add")).status_code == 403


def test_nobody_may_delete_one(visit):
    client, delivery = visit(is_superuser=True), deliver(State.DEAD)
    assert client.post(place("delete", delivery.pk), {"post": "yes"}).status_code == 403
    act(client, "delete_selected", delivery, post="yes")
    assert states() == [State.DEAD]


def test_nobody_may_change_one(visit):
    client, delivery = visit(is_superuser=True), deliver()
    assert client.post(place("change", delivery.pk), {"queue": "another"}).status_code == 403


def test_there_are_no_other_permissions():
    names = Permission.objects.filter(content_type__app_label="heliograph_outbox").values_list("codename", flat=True)
    assert sorted(names) == ["discard_delivery", "redeliver_delivery", "view_delivery"]


def test_a_list_cannot_be_sorted_by_what_has_no_index(operator):
    deliveries = [deliver() for _ in range(2)]
    assert listed(operator, o="9") == [delivery.pk for delivery in reversed(deliveries)]
