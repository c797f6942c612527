"""The pages of the admin for rows that somebody has tampered with: each shows what is there."""

import json
from datetime import UTC, datetime

import pytest
from django.contrib.auth.models import User
from django.urls import reverse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from heliograph.outbox.models import Delivery, State
from tests.helpers.deliveries import deliver

pytestmark = pytest.mark.django_db

LIST = "/admin/heliograph_outbox/delivery/"


@pytest.fixture
def page(client):
    """Return the text of a page, of the list unless a path is given."""
    client.force_login(User.objects.create_superuser("ada"))

    def get(path=LIST, **query):
        response = client.get(path, query, follow=True)
        assert response.status_code == 200
        return response.content.decode()

    return get


def detail_of(row):
    return reverse("admin:heliograph_outbox_delivery_change", args=[row.pk])


def event(**given):
    return json.dumps({"attempt": 1, "at": "2024-01-01T00:00:00+00:00", "worker": "w", "error": "e", **given})


TAMPERED = {
    "a payload that is no JSON": ({"payload": "{nonsense"}, "{nonsense"),
    "a payload that is too deep": ({"payload": "[" * 50_000 + "]" * 50_000}, "[[[["),
    "half of a letter in a payload": ({"payload": '{"a": "\\ud800"}'}, r"\ud800"),
    "a number that is too long": ({"payload": "9" * 5000}, "999"),
    "markup in a payload": ({"payload": '"<script>"'}, "&lt;script&gt;"),
    "a history that is no JSON": ({"history": "nonsense\n"}, "nonsense"),
    "a history that is too deep": ({"history": "[" * 50_000}, "[[[["),
    "a history of other things": ({"history": '[]\n7\n"x"\nnull\n{}\n'}, "null"),
    "a time that is none": ({"history": event(at="2024-99-99T00:00:00")}, "2024-99-99"),
    "a time that is no text": ({"history": event(at=["t", 1])}, "[&#x27;t&#x27;, 1]"),
    "a time of long ago": ({"history": event(at="0001-01-01T00:00:00+14:00")}, "0001-01-01"),
    "an error that is no text": ({"history": event(error={"a": 1}, worker=None)}, "{&#x27;a&#x27;: 1}"),
    "half of a letter in an error": ({"history": event(error="\udfff", worker="\ud800")}, r"\udfff"),
    "markup in an error": ({"history": event(error="<script>")}, "&lt;script&gt;"),
    "names of other things": ({"receiver": "<b>.{0}.%s", "sender": "{}", "signal": "%d", "queue": "'"}, "%s"),
    "no names": ({"receiver": "", "sender": "", "signal": "", "queue": "", "backend": ""}, "dead"),
    "an error of braces": ({"error": "{0} %s <i>"}, "{0} %s &lt;i&gt;"),
    "a state that there is not": ({"state": "LOST"}, "LOST"),
    "a time at the end of all": ({"due_at": datetime.max.replace(tzinfo=UTC, microsecond=0)}, "9999-12-31"),
    "a time at the beginning": ({"claimed_at": datetime(1, 1, 1, tzinfo=UTC)}, "0001-01-01"),
}


@pytest.mark.parametrize(("columns", "text"), TAMPERED.values(), ids=TAMPERED)
@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago"])
def test_a_row_is_shown_as_it_is(page, settings, columns, text, zone):
    settings.TIME_ZONE = zone
    row = deliver(State.DEAD)
    Delivery.objects.filter(pk=row.pk).update(**columns)
    page()
    assert text in page(detail_of(row))


@pytest.mark.parametrize(
    "query",
    [
        *({"queue": "\0"}, {"receiver": "\0"}, {"backend": "\0"}, {"state": "\0"}, {"state": "LOST"}, {"q": "\0"}),
        *({"q": "9" * 30}, {"q": "-1"}, {"q": "%"}, {"q": "\\"}, {"queue": "'"}, {"p": "9" * 30}, {"nothing": "1"}),
        *({"id__exact": "9" * 30}, {"id__exact": "x"}, {"queue": "a" * 1000}),
    ],
    ids=repr,
)
def test_the_list_takes_any_filter(page, query):
    deliver()
    page(**query)


@pytest.mark.parametrize("number", ["9" * 30, "-1", "0", "x", "_5F", "%00"])
def test_a_number_that_there_is_not_leads_back(page, number):
    assert "exist. Perhaps it was deleted?" in page(f"{LIST}{number}/change/")


# --- anything -----------------------------------------------------------------------------------------------------

letters = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=9)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=9), inner, max_size=3)),
    max_leaves=6,
)
names = ["attempt", "at", "worker", "error", "operation", "by", "reason"]
events = st.dictionaries(st.sampled_from(names), values, max_size=7)
texts = st.one_of(letters, values.map(json.dumps))
histories = st.lists(st.one_of(texts, events.map(json.dumps)), max_size=3).map("\n".join)
rows = st.fixed_dictionaries(
    {
        **dict.fromkeys(["receiver", "sender", "signal", "queue", "backend", "key", "worker"], letters),
        **dict.fromkeys(["payload", "error", "traceback"], texts),
        "history": histories,
    }
)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(columns=rows, state=st.sampled_from(State.values))
def test_a_row_of_anything_is_shown(page, columns, state):
    row = deliver(state)
    Delivery.objects.filter(pk=row.pk).update(**columns)
    page(q=columns["error"][:20].replace("\0", ""))
    page()
    page(detail_of(row))
    row.delete()
