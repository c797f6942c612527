"""Senders that are killed: the row and its delivery are both there, or both not."""

import json
import random

import pytest

from tests.crash.counting import assert_each_row_has_its_delivery, count
from tests.crash.models import Order
from tests.crash.processes import until

SCRIPTS = ["send", "send_alone"]


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_sender_that_is_killed_before_commit_has_sent_nothing(start, work, report, script):
    start(script, "Order", "some").succeed()  # so that there is something to count
    start(script, "Order", "some", die_at="before commit of insert").die()

    assert_each_row_has_its_delivery(Order)
    work("--drain").succeed()
    result = count(Order)
    assert result.sent == 1
    report(f"A sender ({script}) killed before COMMIT", result)


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_sender_that_is_killed_after_commit_has_sent(start, work, report, script):
    start(script, "Order", "some", die_at="after insert").die()

    assert_each_row_has_its_delivery(Order)
    work("--drain").succeed()
    result = count(Order)
    assert result.sent == 1
    report(f"A sender ({script}) killed after COMMIT", result)


@pytest.mark.parametrize(("size", "how"), [(1, "autocommit"), (3, "a transaction of three")])
def test_a_sender_that_is_killed_at_any_step_has_sent_all_or_nothing(start, work, report, size, how):
    sender = start("die_sending", str(size))
    sender.succeed(90)
    places = json.loads(sender.out.read_text())

    assert_each_row_has_its_delivery(Order)
    # `warm` and the last one, which lives on, have sent; of the others, those that died late enough.
    names = [*Order.objects.values_list("name", flat=True)]
    survivors = {name for name in places if name in names}
    assert survivors, "Nobody was killed after the commit"
    assert places.keys() - survivors, "Nobody was killed before the commit"
    assert all(names.count(name) == size for name in survivors), "A part of a transaction is there"
    work("--drain").succeed()
    report(f"A sender killed at each of {len(places)} steps, during COMMIT too ({how})", count(Order))


def test_senders_that_are_killed_at_random_have_sent_all_or_nothing(start, work, report):
    dice = random.Random(20)
    for _ in range(4):
        sender = start("send_on", "Order")
        seen = Order.objects.count()
        more = dice.randint(1, 60)
        until(lambda seen=seen, more=more: Order.objects.count() >= seen + more, "rows of a sender")
        sender.kill()

    assert_each_row_has_its_delivery(Order)
    assert Order.objects.count() % 3 == 0, "A part of a transaction is there"
    work("--drain").succeed()
    report("Senders killed at random moments", count(Order))
