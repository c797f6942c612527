"""The admin of deliveries: what it shows, what it lets people do, and whom."""

import json
import re
from collections import Counter
from datetime import UTC, datetime
from html import unescape
from zoneinfo import ZoneInfo

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from heliograph import Durable, Signal
from heliograph.outbox import admin
from heliograph.outbox.manage import admin_operations
from heliograph.outbox.manage.operations import CHUNK
from heliograph.outbox.manage.performing import perform_waiting
from heliograph.outbox.models import Delivery, Operation, State
from tests.helpers.deliveries import RECEIVER, deliver, deliver_many, states

pytestmark = pytest.mark.django_db

sent = Signal(name="shop.sent")

EVIL = "<script>alert('no')</script>"
SAFE = "&lt;script&gt;alert(&#x27;no&#x27;)&lt;/script&gt;"

FINISHED = [State.SUCCESSFUL, State.DEAD, State.DISCARDED]


def record(**payload):
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


def ask(client, action, *deliveries, **more):
    """Choose an action for some deliveries, and return the page that asks what is meant."""
    chosen = {"action": action, "_selected_action": [delivery.pk for delivery in deliveries], **more}
    return client.post(place("changelist"), chosen, follow=True)


def confirm(client, page, states=("DEAD",), reason="it works again", **more):
    """Answer that page, as its form would."""
    html = page.content.decode()
    hidden = dict(re.findall('<input type="hidden" name="(shown|_delivery)" value="(.*?)">', html))
    action = unescape(re.search('<form method="post" action="(.*?)"', html)[1])
    return client.post(action, {**hidden, "states": states, "reason": reason, **more}, follow=True)


def act(client, action, *deliveries, states=("DEAD",), **more):
    return confirm(client, ask(client, action, *deliveries, **more), states)


def said(response):
    return [str(message) for message in response.context["messages"]]


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
    connect(sent, record, delivery=Durable(queue="third"))
    deliver()
    offered = {
        spec.title: [name for name, _ in spec.lookup_choices] for spec in listing(operator).context["cl"].filter_specs
    }
    assert f"{__name__}.record" in offered["receiver"]
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
    response = act(operator, "redeliver", delivery, _delivery=delivery.pk)
    assert response.redirect_chain == [(place("change", delivery.pk), 302)]


def test_one_that_does_not_exist_leads_to_the_index(operator):
    assert operator.get(place("change", 0)).url == reverse("admin:index")


# --- what can be done ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", FINISHED)
def test_what_has_finished_can_be_redelivered(operator, state):
    response = act(operator, "redeliver", deliver(state), states=[state])
    assert said(response) == ["Redelivered 1 delivery."]
    assert states() == [State.READY]


@pytest.mark.parametrize("state", [State.READY, State.DEAD])
def test_what_waits_or_is_dead_can_be_discarded(operator, state):
    response = act(operator, "discard", deliver(state), states=[state])
    assert said(response) == ["Discarded 1 delivery."]
    assert states() == [State.DISCARDED]


def test_only_what_is_selected_is_changed(operator):
    first, _ = deliver(State.DEAD), deliver(State.DEAD)
    act(operator, "redeliver", first)
    assert states() == [State.READY, State.DEAD]


def test_a_selection_changes_nothing_before_it_is_confirmed(operator):
    ask(operator, "redeliver", deliver(State.DEAD))
    assert states() == [State.DEAD]


def choices(page):
    """Return the states that a page lets one choose, and whether each is chosen already."""
    boxes = re.findall('<input type="checkbox"(.*?)>', page.content.decode())
    return {re.search('value="(.*?)"', box)[1]: "checked" in box for box in boxes}


@pytest.mark.parametrize(
    ("action", "offered"),
    [
        ("redeliver", {"SUCCESSFUL": False, "DEAD": True, "DISCARDED": False}),
        ("discard", {"READY": False, "DEAD": True}),
    ],
)
def test_dead_letters_are_chosen_and_other_states_can_be(operator, action, offered):
    assert choices(ask(operator, action, *(deliver(state) for state in State))) == offered


def test_what_has_succeeded_is_not_redelivered_unless_it_is_chosen(operator):
    deliveries = [deliver(State.SUCCESSFUL), deliver(State.DEAD)]
    act(operator, "redeliver", *deliveries)
    assert states() == [State.SUCCESSFUL, State.READY]


def test_the_page_warns_of_what_has_been_made(operator):
    html = ask(operator, "redeliver", deliver(State.SUCCESSFUL)).content.decode()
    assert "1 successful: they have been made, and are made once more" in html


def test_the_page_counts_by_receiver_state_and_error(operator):
    deliveries = [
        *(deliver(State.DEAD, error=f"MishapError: order {number}") for number in (1, 2)),
        deliver(State.DEAD, error="TimeoutError"),
        deliver(State.SUCCESSFUL, receiver="shop.other", queue="slow"),
    ]
    rows = re.findall("<tr><td>.*?</tr>", ask(operator, "redeliver", *deliveries).content.decode())
    cells = [[re.sub("<.*?>", "", cell) for cell in re.findall("<td>(.*?)</td>", row)] for row in rows]
    assert cells == [
        ["2", "dead", f"{RECEIVER}queue mail", "MishapError: order #"],
        ["1", "dead", f"{RECEIVER}queue mail", "TimeoutError"],
        ["1", "successful", "shop.otherqueue slow", "-"],
    ]


def test_the_page_shows_errors_as_text(operator):
    html = ask(operator, "redeliver", deliver(State.DEAD, error=EVIL, receiver=EVIL, queue=EVIL)).content.decode()
    assert EVIL not in html


def test_the_page_says_what_stays(operator):
    deliveries = [deliver(State.RUNNING), deliver(State.RUNNING), deliver(State.DEAD)]
    assert "2 running: these stay as they are." in ask(operator, "discard", *deliveries).content.decode()


def test_what_cannot_be_done_to_any_is_said(operator):
    response = ask(operator, "redeliver", deliver(), deliver(State.RUNNING))
    assert said(response) == [
        "Nothing was changed: only what is successful, dead or discarded can be redelivered, and the state of"
        " 2 deliveries is another."
    ]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ({"states": []}, "Choose at least one state."),
        ({"states": ["RUNNING"]}, "is not one of the available choices."),
        ({"reason": " "}, "Give a reason. It is shown with each delivery."),
        ({"reason": "x" * 201}, "at most 200 characters"),
    ],
)
def test_an_answer_that_lacks_something_is_asked_for_again(operator, answer, error):
    page = confirm(operator, ask(operator, "redeliver", deliver(State.DEAD)), **answer)
    assert error in page.content.decode()
    assert states() == [State.DEAD]
    confirm(operator, page)
    assert states() == [State.READY]


def test_a_page_that_was_tampered_with_changes_nothing(operator):
    page = ask(operator, "redeliver", deliver(State.DEAD))
    response = confirm(operator, page, shown="forged")
    assert said(response) == ["Nothing was changed: choose the deliveries once more."]
    assert states() == [State.DEAD]


def test_a_page_for_one_operation_is_none_for_another(operator):
    page = ask(operator, "redeliver", deliver(State.DEAD))
    operator.post(place("operate", "discard"), {"shown": page.context["shown"], "states": ["DEAD"], "reason": "no"})
    assert states() == [State.DEAD]


def test_what_arrived_after_the_page_was_made_stays(operator):
    deliver_many(3, State.DEAD)
    page = ask(operator, "redeliver", Delivery.objects.first(), select_across="1")
    deliver_many(2, State.DEAD)
    assert said(confirm(operator, page)) == ["Redelivered 3 deliveries."]
    assert states() == [State.READY] * 3 + [State.DEAD] * 2


def test_what_changed_after_the_page_was_made_stays(operator):
    deliver_many(3, State.DEAD)
    page = ask(operator, "redeliver", Delivery.objects.first(), select_across="1")
    act(operator, "redeliver", Delivery.objects.first())
    assert said(confirm(operator, page)) == [
        "Redelivered 2 deliveries. 1 delivery stayed: a worker or somebody else was faster."
    ]


def test_a_page_that_is_sent_twice_changes_nothing_twice(operator):
    delivery = deliver(State.DEAD)
    page = ask(operator, "redeliver", delivery)
    confirm(operator, page)
    confirm(operator, page)
    delivery.refresh_from_db()
    assert [event["operation"] for event in delivery.events] == ["redelivered"]


def test_why_and_by_whom_it_was_done_is_on_the_page_of_the_delivery(operator):
    delivery = deliver(State.DEAD)
    act(operator, "discard", delivery)
    cells = re.findall("<td>(.*?)</td>", page_of(operator, delivery).partition("delivery-attempts")[2])
    assert (cells[0], *cells[2:]) == ("discarded", "ada", "it works again")
    assert Delivery.objects.get().error == "it works again"


def test_an_operation_is_in_the_log_of_the_admin(operator):
    act(operator, "redeliver", deliver(State.DEAD))
    entry = LogEntry.objects.get()
    assert (str(entry.object_repr), entry.user.username) == ("redeliver 1 delivery", "ada")
    assert entry.get_change_message() == "it works again"


def test_all_that_a_filter_finds_can_be_changed_at_once(operator):
    deliver_many(60, State.DEAD)
    deliver_many(2, State.DISCARDED)
    first = Delivery.objects.filter(state=State.DEAD).first()
    chosen = {"action": "redeliver", "_selected_action": [first.pk], "select_across": "1"}
    response = confirm(operator, operator.post(f"{place('changelist')}?state=DEAD", chosen))
    assert said(response) == ["Redelivered 60 deliveries."]
    assert response.redirect_chain == [(f"{place('changelist')}?state=DEAD", 302)]
    assert sorted({*states()}) == [State.DISCARDED, State.READY]


def test_a_list_that_ends_before_the_last_one_does_not_say_how_many_are_selected(operator, monkeypatch):
    monkeypatch.setattr(admin, "MOST", 60)
    deliver_many(61)
    html = listing(operator).content.decode()
    assert "Select all, also those that are not listed" in html
    assert "Select all 60" not in html


def test_a_list_that_ends_with_the_last_one_says_how_many_are_selected(operator):
    deliver_many(60)
    assert "Select all 60" in listing(operator).content.decode()


def test_an_operation_takes_no_more_than_fits_its_page(operator, monkeypatch):
    monkeypatch.setattr(admin_operations, "MOST", 3)
    deliver_many(5, State.DEAD)
    page = ask(operator, "redeliver", Delivery.objects.first(), select_across="1")
    assert "these are the first 3." in page.content.decode()
    assert said(confirm(operator, page)) == ["Redelivered 3 deliveries."]
    assert states() == [State.READY] * 3 + [State.DEAD] * 2


# --- many ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def begun(operator, monkeypatch):
    """The page of an operation that is not done in one request."""
    monkeypatch.setattr(admin_operations, "SECONDS", 0)
    deliver_many(CHUNK + 1, State.DEAD)
    return act(operator, "redeliver", Delivery.objects.first(), select_across="1")


def progress_of(page):
    return unescape(re.search(r"<progress .*?</progress> (.*?)</div>", page.content.decode(), re.DOTALL)[1].strip())


def test_many_are_left_to_workers_and_their_progress_is_shown(begun, operator):
    assert progress_of(begun) == f"{CHUNK} of {CHUNK + 1} deliveries, {CHUNK} redelivered"
    assert 'http-equiv="refresh"' in begun.content.decode()
    perform_waiting("default")
    page = operator.get(begun.redirect_chain[-1][0])
    assert progress_of(page) == f"{CHUNK + 1} of {CHUNK + 1} deliveries, {CHUNK + 1} redelivered"
    assert 'http-equiv="refresh"' not in page.content.decode()
    assert {*states()} == {State.READY}


def stop(client):
    return client.post(reverse("admin:heliograph_outbox_operation_stop", args=[Operation.objects.get().pk]))


def test_an_operation_can_be_stopped(begun, operator):
    assert "formaction" in begun.content.decode()
    stop(operator)
    perform_waiting("default")
    assert Operation.objects.get().status == "stopped"
    assert Counter(states()) == {State.READY: CHUNK, State.DEAD: 1}


def test_an_operation_is_not_stopped_by_a_link(begun, operator):
    operation = Operation.objects.get()
    assert operator.get(reverse("admin:heliograph_outbox_operation_stop", args=[operation.pk])).status_code == 405


def test_operations_are_listed_with_their_reasons(begun, operator):
    html = operator.get(reverse("admin:heliograph_outbox_operation_changelist")).content.decode()
    for text in (f"redeliver {CHUNK + 1} deliveries", "it works again", "running", "ada"):
        assert text in html


def test_an_operation_that_does_not_exist_is_not_found(operator):
    assert operator.post(reverse("admin:heliograph_outbox_operation_stop", args=[0])).status_code == 404


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
    client = visit("view")
    ask(client, action, deliver(State.DEAD))
    assert client.post(place("operate", action), {"states": ["DEAD"], "reason": "no"}).status_code == 403
    assert states() == [State.DEAD]


def test_who_has_lost_the_permission_meanwhile_cannot_confirm(operator):
    page = ask(operator, "redeliver", deliver(State.DEAD))
    User.objects.get().user_permissions.clear()
    assert confirm(operator, page).status_code == 403
    assert states() == [State.DEAD]


def test_there_is_no_other_operation(operator):
    assert operator.post(place("operate", "delete")).status_code == 404


def test_a_page_of_another_site_confirms_nothing(operator):
    page = ask(operator, "redeliver", deliver(State.DEAD))
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = operator.cookies
    assert confirm(strict, page).status_code == 403
    assert states() == [State.DEAD]


def test_who_may_not_redeliver_cannot_stop_it(begun, client):
    User.objects.get().user_permissions.set(Permission.objects.filter(codename="view_delivery"))
    assert "formaction" not in client.get(begun.redirect_chain[-1][0]).content.decode()
    assert stop(client).status_code == 403


def test_who_may_not_see_deliveries_sees_no_operations(begun, client):
    User.objects.get().user_permissions.clear()
    assert client.get(begun.redirect_chain[-1][0]).status_code == 403


@pytest.mark.parametrize("action", ["add", "delete"])
def test_nobody_may_write_an_operation(begun, client, action):
    User.objects.update(is_superuser=True)
    arguments = [] if action == "add" else [Operation.objects.get().pk]
    assert client.get(reverse(f"admin:heliograph_outbox_operation_{action}", args=arguments)).status_code == 403


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
    ask(client, "delete_selected", delivery, post="yes")
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
