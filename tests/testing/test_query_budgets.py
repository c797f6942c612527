"""How many queries a call of a receiver may make."""

import pytest
from django.db.models.signals import post_save

from heliograph import OnCommit
from heliograph.testing import max_queries
from tests.app.models import Genre, Writer
from tests.testing.failures import failure

pytestmark = pytest.mark.django_db


def count(**kwargs):
    Genre.objects.count()
    Writer.objects.count()


def write(**kwargs):
    Writer.objects.create()


def save_with_budget(receiver, most):
    with max_queries(receiver, most):
        Genre.objects.create()


@pytest.mark.parametrize("delivery", [None, OnCommit()])
def test_a_call_within_its_budget_is_accepted(connect, delivery):
    connect(post_save, count, sender=Genre, delivery=delivery)

    save_with_budget(count, 2)


def test_the_queries_of_a_call_beyond_its_budget_are_listed(connect):
    connect(post_save, count, sender=Genre)

    first, *queries = failure(save_with_budget, count, 1).splitlines()
    assert first == f"{__name__}.count has made more queries than 1, namely 2:"
    assert [query.split()[:2] for query in queries] == [["default:", "SELECT"]] * 2
    assert "app_genre" in queries[0]
    assert "app_writer" in queries[1]


def test_each_call_has_the_budget_for_itself(connect):
    connect(post_save, count, sender=Genre)
    with max_queries(count, 2):
        Genre.objects.create()
        Genre.objects.create()


def test_what_a_receiver_causes_counts(connect):
    connect(post_save, write, sender=Genre)
    connect(post_save, count, sender=Writer)

    assert "has made more queries than 1, namely 3" in failure(save_with_budget, write, 1)


def test_a_receiver_that_is_not_called_has_no_budget_to_keep():
    assert failure(save_with_budget, count, 1) == f"{__name__}.count was not called, so that its queries say nothing."


def test_an_error_in_the_block_is_raised_itself():
    with pytest.raises(ZeroDivisionError), max_queries(count, 1):
        1 / 0  # noqa: B018
