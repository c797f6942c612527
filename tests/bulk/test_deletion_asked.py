"""The signal by which the admin asks which rows a deletion would take."""

import pytest
from django.contrib.admin.utils import NestedObjects
from django.db.models import ProtectedError

from heliograph.signals import deletion_asked
from tests.app.models import Branch, Desk
from tests.helpers.patched import patched_methods
from tests.helpers.writes import make_desks

pytestmark = pytest.mark.django_db


def asked(*rows):
    """Ask as the admin does, and return the rows that it shows as protected."""
    question = NestedObjects(using="default", origin=rows)
    question.collect([*rows])
    return question.protected


@pytest.fixture
def received(receive):
    """Record the rows of each send."""
    received = []

    @receive(deletion_asked, sender=[Branch, Desk])
    def record(sender, queryset, using, origin, **kwargs):
        received.append((sender, {*queryset}, using, origin))

    return received


def test_it_is_sent_for_the_rows_and_for_those_that_go_along(received):
    branch = make_desks(2)
    assert asked(branch) == set()
    origin = (branch,)
    desks = {*Desk.objects.all()}
    assert sorted(received, key=str) == [
        (Branch, {branch}, "default", origin),
        (Desk, desks, "default", origin),
    ]


def test_the_rows_of_an_error_are_the_answer(receive):
    branch = make_desks(2)

    @receive(deletion_asked, sender=Desk)
    def refuse(queryset, **kwargs):
        raise ProtectedError("no", {queryset[0]})

    assert asked(branch) == {Desk.objects.order_by("pk")[0]}


def test_a_deletion_does_not_send_it(received):
    make_desks(2).delete()
    assert received == []


def test_nothing_is_sent_for_no_rows(received):
    assert asked() == set()
    assert received == []


def test_the_method_of_django_is_its_own_while_nobody_receives_it(connect):
    def names():
        return {one.name for one in patched_methods()}

    assert "collect" not in names()
    connect(deletion_asked, dict, sender=Desk)
    assert "collect" in names()


def test_a_deletion_of_a_query_reads_no_row_because_of_it(receive, django_assert_num_queries):
    make_desks(2)

    @receive(deletion_asked, sender=Desk)
    def record(**kwargs): ...

    with django_assert_num_queries(1) as queries:
        Desk.objects.all().delete()

    assert queries[0]["sql"].startswith("DELETE")
