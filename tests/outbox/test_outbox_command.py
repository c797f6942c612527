"""The command `outbox`: run, status, redeliver, discard, prune."""

import json
import logging
import os
import pty
import re
import sys
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from heliograph import Durable, Retry, Signal
from heliograph.outbox.installed_tables import not_migrated
from heliograph.outbox.manage.operations import CHUNK
from heliograph.outbox.manage.performing import perform, request, stop
from heliograph.outbox.manage.selecting import look_at
from heliograph.outbox.management.commands import outbox
from heliograph.outbox.models import Delivery, Operation, State, Verb
from tests.helpers.deliveries import RECEIVER, ago, deliver, deliver_many, states

pytestmark = pytest.mark.django_db(databases=["default", "other"])
only_sqlite = pytest.mark.skipif(connection.vendor != "sqlite", reason="only SQLite has settings to warn of")
really_committed = pytest.mark.django_db(transaction=True, databases=["default", "other"])

sent = Signal(name="shop.sent")


def run(*arguments, **options):
    """Return what the command says."""
    out = StringIO()
    call_command("outbox", *map(str, arguments), stdout=out, stderr=out, **options)
    return out.getvalue().rstrip("\n")


def operate(*arguments):
    """Return what the command says of an operation that it does not ask about."""
    return run(*arguments, "--noinput", "--verbosity", 0)


def error_of(*arguments):
    with pytest.raises(CommandError) as caught:
        run(*arguments)
    return str(caught.value)


def status(*arguments):
    """Return what `outbox status` says, and its error if it has one."""
    out = StringIO()
    try:
        call_command("outbox", "status", *map(str, arguments), stdout=out)
    except CommandError as error:
        return out.getvalue(), error
    return out.getvalue(), None


def asked():
    """Return an operation that redelivers the dead letters, of which nothing is done yet."""
    selection = look_at("default", [Delivery.objects.filter(state=State.DEAD)])
    return request(selection, Verb.REDELIVER, [State.DEAD], by="ada", reason="no use")


def facts(*arguments):
    return json.loads(status("--json", *arguments)[0])


def record(**payload):
    """A durable receiver."""


@pytest.fixture
def name(connect):
    """The name of a receiver that is connected."""
    connect(sent, record, delivery=Durable())
    return f"{__name__}.record"


# --- status -------------------------------------------------------------------------------------------------------


def test_an_empty_table_is_fine():
    assert status() == ("Nothing waits, runs or is dead on 'default'.\n", None)


def test_what_has_finished_well_is_not_shown():
    deliver(State.SUCCESSFUL)
    assert status() == ("Nothing waits, runs or is dead on 'default'.\n", None)


def test_each_receiver_of_a_queue_has_a_line(name):
    deliver(receiver=name)
    deliver(receiver=name, queue="slow", attempts=2)
    deliver(receiver=name, state=State.RUNNING)
    lines, error = status()
    assert error is None
    assert [line.split() for line in lines.splitlines()] == [
        ["queue", "receiver", "ready", "running", "failing", "dead", "waiting", "working"],
        ["mail", name, "1", "1", "0", "0", "60", "s", "40", "s"],
        ["slow", name, "1", "0", "1", "0", "60", "s", "-"],
    ]


def test_its_columns_are_aligned(name):
    deliver(receiver=name)
    deliver(receiver=name, queue="a queue with a long name")
    lines = status()[0].splitlines()
    assert {line.index(name) for line in lines[1:]} == {lines[0].index("receiver")}


def test_a_dead_letter_is_a_problem(name):
    deliver(State.DEAD, receiver=name)
    assert str(status()[1]) == "Look after 'default': 1 dead letter."


def test_a_problem_ends_the_command_with_1(name):
    deliver(State.DEAD, receiver=name)
    assert status()[1].returncode == 1


def test_a_receiver_that_is_not_connected_is_a_problem():
    deliver()
    assert str(status()[1]) == f"Look after 'default': 1 waiting for receivers that are not connected ({RECEIVER})."


def test_its_line_says_so():
    deliver()
    assert status()[0].splitlines()[1].endswith("  not connected here")


def test_what_waits_for_long_is_a_problem(name):
    deliver(receiver=name, due_at=ago(7205))
    assert re.search(r"the oldest has been waiting for 7,2\d\d s, which is more than 3600 s", str(status()[1]))


def test_how_long_something_may_wait_can_be_said(name):
    deliver(receiver=name)
    assert "more than 50 s" in str(status("--max-age", 50)[1])


def test_what_is_due_later_does_not_wait(name):
    deliver(receiver=name, created_at=ago(7200), due_at=ago(-60))
    assert facts()["total"]["oldest_waiting"] is None


def test_what_is_in_the_hands_of_a_lost_worker_waits(name):
    deliver(State.RUNNING, receiver=name, leased_until=ago(7200))
    assert facts()["total"]["oldest_waiting"] == pytest.approx(7200, abs=10)


def test_a4_what_has_been_running_for_long_in_a_worker_that_lives_is_a_problem(name):
    deliver(State.RUNNING, receiver=name, claimed_at=ago(86400 * 365))
    problem = (
        rf"^Look after 'default': one has been running for 31,536,0\d\d s, which is more than 86400 s \({name}\)\.$"
    )
    assert re.search(problem, str(status()[1]))
    assert status()[1].returncode == 1


def test_how_long_something_may_run_can_be_said(name):
    deliver(State.RUNNING, receiver=name)
    assert status()[1] is None
    assert "which is more than 30 s" in str(status("--max-running", 30)[1])


def test_the_one_that_has_been_running_longest_is_the_one_that_counts(name):
    deliver(State.RUNNING, receiver=name, claimed_at=ago(100))
    deliver(State.RUNNING, receiver=name, claimed_at=ago(50))
    deliver(State.RUNNING, receiver=name, queue="slow", claimed_at=ago(300))
    found = facts()
    assert found["total"]["oldest_running"] == pytest.approx(300, abs=10)
    assert [line["oldest_running"] for line in found["receivers"]] == pytest.approx([100, 300], abs=10)


def test_what_a_lost_worker_had_is_not_running(name):
    deliver(State.RUNNING, receiver=name, claimed_at=ago(300), leased_until=ago(200))
    assert facts()["total"]["oldest_running"] is None


def test_the_longest_wait_of_a_line_is_the_one_that_counts(name):
    deliver(State.RUNNING, receiver=name, leased_until=ago(100))
    deliver(receiver=name, due_at=ago(200))
    assert facts()["total"]["oldest_waiting"] == pytest.approx(200, abs=10)


def test_what_waits_is_measured_by_the_clock_of_the_database_in_any_time_zone(name, settings):
    settings.TIME_ZONE = "Pacific/Auckland"
    deliver(receiver=name)
    assert facts()["total"]["oldest_waiting"] == pytest.approx(60, abs=10)


def test_several_problems_are_all_named(name):
    deliver(State.DEAD, receiver=name)
    deliver()
    assert str(status()[1]).startswith("Look after 'default': 1 dead letter; 1 waiting for receivers that are not")


def test_programs_read_it_as_json(name):
    deliver(receiver=name, attempts=1)
    deliver(State.DEAD, receiver=name)
    found = facts()
    ages = [found["total"].pop("oldest_waiting"), found["receivers"][0].pop("oldest_waiting")]
    numbers = {"ready": 1, "running": 0, "failing": 1, "dead": 1, "unknown": 0, "unreadable": 0, "oldest_running": None}
    assert ages == [pytest.approx(60, abs=10)] * 2
    assert found == {
        "database": "default",
        "problems": ["1 dead letter"],
        "total": numbers,
        "receivers": [{"queue": "mail", "receiver": name, "is_known": True, **numbers}],
        "operations": [],
    }


def test_an_operation_that_has_not_ended_has_a_line(name):
    deliver_many(CHUNK + 1, State.DEAD, receiver=name)
    operation = asked()
    assert status()[0].splitlines()[-1] == (
        f"Operation {operation.pk}, redeliver {CHUNK + 1} deliveries: waiting, {CHUNK + 1} left (by ada)"
    )
    perform(operation, seconds=0)
    assert status()[0].splitlines()[-1] == (
        f"Operation {operation.pk}, redeliver {CHUNK + 1} deliveries: running, 1 left (by ada)"
    )


def test_an_operation_that_has_ended_has_no_line():
    deliver(State.DEAD)
    stop(asked())
    perform(asked())
    assert "Operation" not in status()[0]


def test_programs_read_operations_too(name):
    deliver(State.DEAD, receiver=name)
    operation = {"id": asked().pk, "verb": "redeliver", "by": "ada", "reason": "no use", "status": "waiting"}
    assert facts()["operations"] == [{**operation, "total": 1, "done": 0, "changed": 0}]


def test_another_database_can_be_asked_for(name):
    deliver(State.DEAD, using="other", receiver=name)
    assert status()[1] is None
    assert str(status("--database", "other")[1]) == "Look after 'other': 1 dead letter."


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (119, "119 s"), (120, "2 min"), (7199, "119 min"), (7200, "2 h"), (172800, "2 d")],
)
def test_times_are_rounded_down_for_people(name, seconds, text):
    from heliograph.outbox.manage.showing import duration

    assert duration(seconds) == text


# --- redeliver ----------------------------------------------------------------------------------------------------


def test_dead_letters_are_redelivered():
    deliver(State.DEAD)
    assert operate("redeliver") == "Redelivered 1 delivery."
    assert states() == [State.READY]


@pytest.mark.parametrize("state", [State.SUCCESSFUL, State.DISCARDED])
def test_others_are_redelivered_where_their_state_is_named(state):
    deliver(state)
    assert operate("redeliver") == "Redelivered 0 deliveries."
    assert operate("redeliver", "--state", state) == "Redelivered 1 delivery."


def test_a_state_may_be_written_small():
    deliver(State.DISCARDED)
    assert operate("redeliver", "--state", "discarded") == "Redelivered 1 delivery."


@pytest.mark.parametrize("state", ["READY", "RUNNING"])
def test_a_state_that_cannot_be_redelivered_is_refused(state):
    message = error_of("redeliver", "--state", state)
    assert f"argument --state: invalid choice: '{state}'" in message


def test_one_that_has_succeeded_is_redelivered_by_its_id_where_its_state_is_named():
    first = deliver(State.SUCCESSFUL)
    deliver(State.SUCCESSFUL)
    assert operate("redeliver", "--id", first.pk) == (
        f"Delivery {first.pk} is successful and stays as it is. --state SUCCESSFUL takes it too.\n"
        "Redelivered 0 deliveries."
    )
    assert operate("redeliver", "--id", first.pk, "--state", "SUCCESSFUL") == "Redelivered 1 delivery."
    assert states() == [State.READY, State.SUCCESSFUL]


def test_several_ids_may_be_given():
    ids = [deliver(State.DEAD).pk for _ in range(3)]
    assert operate("redeliver", "--id", ids[0], ids[1], "--id", ids[2]) == "Redelivered 3 deliveries."


def test_ids_that_do_not_exist_are_refused_and_nothing_is_done():
    delivery = deliver(State.DEAD)
    missing = [delivery.pk + 1, delivery.pk + 2]
    assert error_of("redeliver", "--id", delivery.pk, *missing) == (
        f"There is no delivery {missing[0]}, {missing[1]} on 'default'."
    )
    assert states() == [State.DEAD]


def test_one_that_runs_is_named_and_stays_as_it_is():
    delivery = deliver(State.RUNNING)
    assert operate("redeliver", "--id", delivery.pk) == (
        f"Delivery {delivery.pk} is running and stays as it is.\nRedelivered 0 deliveries."
    )


def test_many_ids_are_read_and_changed_by_bounded_statements():
    deliver_many(3 * CHUNK + 1, State.DEAD)
    ids = Delivery.objects.values_list("pk", flat=True)
    with CaptureQueriesContext(connection) as queries:
        assert operate("redeliver", "--id", *ids) == f"Redelivered {3 * CHUNK + 1:,} deliveries."
    assert max(query["sql"].count(",") for query in queries) < CHUNK + 50
    assert states() == [State.READY] * (3 * CHUNK + 1)


def test_many_ids_are_redelivered_with_their_progress(monkeypatch):
    monkeypatch.setattr(outbox, "STEP", 2 * CHUNK)
    deliver_many(2 * CHUNK + 1, State.DEAD)
    ids = Delivery.objects.values_list("pk", flat=True)
    assert run("redeliver", "--noinput", "--id", *ids).endswith(
        f"Redelivered {2 * CHUNK:,} deliveries so far.\nRedelivered {2 * CHUNK + 1:,} deliveries."
    )


def test_a_dry_run_of_many_ids_has_one_line_for_each_receiver():
    deliver_many(CHUNK + 1, State.DEAD)
    ids = Delivery.objects.values_list("pk", flat=True)
    assert run("redeliver", "--dry-run", "--id", *ids).splitlines() == [
        f"Would redeliver {CHUNK + 1} deliveries:",
        f"  {CHUNK + 1} dead of {RECEIVER} in the queue 'mail': MishapError: no",
    ]


def test_an_id_that_is_given_twice_counts_once():
    delivery = deliver(State.DEAD)
    assert operate("redeliver", "--id", delivery.pk, delivery.pk) == "Redelivered 1 delivery."


def test_many_that_stay_as_they_are_have_one_line():
    deliver_many(12, State.RUNNING)
    ids = [*Delivery.objects.values_list("pk", flat=True)]
    first = ", ".join(map(str, ids[:10]))
    assert operate("redeliver", "--id", *ids) == (
        f"12 deliveries are running and stay as they are: {first} and 2 more.\nRedelivered 0 deliveries."
    )


def test_many_ids_that_do_not_exist_are_not_all_listed():
    missing = range(1, 13)
    assert error_of("redeliver", "--id", *missing) == (
        "There is no delivery 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 2 more on 'default'."
    )


def test_those_of_a_queue_are_redelivered():
    deliver(State.DEAD)
    deliver(State.DEAD, queue="slow")
    assert operate("redeliver", "--queue", "slow") == "Redelivered 1 delivery."
    assert states() == [State.DEAD, State.READY]


def test_those_of_a_receiver_are_redelivered():
    deliver(State.DEAD)
    deliver(State.DEAD, receiver="shop.other")
    assert operate("redeliver", "--receiver", "shop.other") == "Redelivered 1 delivery."
    assert states() == [State.DEAD, State.READY]


def test_those_that_are_old_are_redelivered():
    deliver(State.DEAD, finished_at=ago(120))
    deliver(State.DEAD, finished_at=ago(10))
    assert operate("redeliver", "--older-than", 60) == "Redelivered 1 delivery."
    assert states() == [State.READY, State.DEAD]


def test_those_of_another_database_are_redelivered():
    deliver(State.DEAD)
    deliver(State.DEAD, using="other")
    assert operate("redeliver", "--database", "other") == "Redelivered 1 delivery."
    assert (states(), states("other")) == ([State.DEAD], [State.READY])


def test_a_dry_run_says_what_would_be_redelivered_and_does_nothing():
    deliver(State.DEAD, error="MishapError: order 17")
    deliver(State.DEAD, receiver="shop.other", queue="slow", error="")
    deliver(State.DEAD, error="MishapError: order 18")
    assert run("redeliver", "--dry-run").splitlines() == [
        "Would redeliver 3 deliveries:",
        f"  2 dead of {RECEIVER} in the queue 'mail': MishapError: order #",
        "  1 dead of shop.other in the queue 'slow'",
    ]
    assert states() == [State.DEAD] * 3


def test_the_largest_groups_are_shown_and_the_others_counted():
    for letter in "abcdefghijklmnopqrstuvwxyz":
        deliver(State.DEAD, error=f"MishapError: {letter}")
    *_, last = run("redeliver", "--dry-run").splitlines()
    assert last == "  6 with other receivers or errors"


def test_the_command_says_what_it_is_about_to_do():
    deliver(State.DEAD)
    assert run("redeliver", "--noinput").splitlines() == [
        "About to redeliver 1 delivery:",
        f"  1 dead of {RECEIVER} in the queue 'mail': MishapError: no",
        "Redelivered 1 delivery.",
    ]


def test_a_command_that_nobody_can_answer_does_nothing():
    deliver(State.DEAD)
    assert error_of("redeliver") == "There is nobody to ask whether to redeliver 1 delivery: use --noinput."
    assert states() == [State.DEAD]


@pytest.fixture
def terminal(monkeypatch):
    """Answer from a terminal."""

    def answer(text):
        master, slave = pty.openpty()
        os.write(master, f"{text}\n".encode())
        monkeypatch.setattr(sys, "stdin", open(slave, encoding="utf-8"))  # noqa: SIM115 - the test reads from it
        opened.append(master)

    opened = []
    yield answer
    sys.stdin.close()
    for one in opened:
        os.close(one)


@pytest.mark.parametrize(("answer", "becomes"), [("y", State.READY), ("Yes", State.READY)])
def test_the_command_asks_before_it_redelivers(terminal, answer, becomes):
    deliver(State.DEAD)
    terminal(answer)
    run("redeliver")
    assert states() == [becomes]


@pytest.mark.parametrize("answer", ["", "n", "maybe"])
def test_nothing_is_done_unless_the_answer_is_yes(terminal, answer):
    deliver(State.DEAD)
    terminal(answer)
    assert error_of("discard", "--all") == "Nothing was discarded."
    assert states() == [State.DEAD]


def test_nobody_is_asked_about_nothing():
    assert run("redeliver") == "Redelivered 0 deliveries."


def test_a_dry_run_of_nothing_says_so():
    assert run("redeliver", "--dry-run") == "Would redeliver 0 deliveries."


def test_long_work_says_how_far_it_is(monkeypatch):
    monkeypatch.setattr(outbox, "STEP", CHUNK)
    deliver_many(CHUNK + 1, State.DEAD)
    assert run("redeliver", "--noinput").endswith(
        f"Redelivered {CHUNK} deliveries so far.\nRedelivered {CHUNK + 1} deliveries."
    )


def test_work_that_is_interrupted_stops_after_its_chunk(monkeypatch):
    deliver_many(CHUNK + 1, State.DEAD)

    def interrupt(total):
        raise KeyboardInterrupt

    monkeypatch.setattr(outbox.Command, "_progress", lambda command, done: interrupt)
    with pytest.raises(CommandError, match=f"Stopped. Redelivered {CHUNK} deliveries.") as caught:
        run("redeliver", "--noinput")
    assert caught.value.returncode == 130
    assert Operation.objects.get().status == "stopped"


def test_long_work_says_less_to_who_wants_to_receive_less(monkeypatch):
    monkeypatch.setattr(outbox, "STEP", CHUNK)
    deliver_many(CHUNK + 1, State.DEAD)
    assert operate("redeliver", "--verbosity", 0) == f"Redelivered {CHUNK + 1} deliveries."


# --- discard ------------------------------------------------------------------------------------------------------


def test_what_to_discard_must_be_said():
    deliver()
    assert error_of("discard") == ("Say what to discard: --id, --queue, --receiver, --state, --older-than, or --all.")
    assert states() == [State.READY]


def test_all_dead_letters_can_be_discarded():
    deliver(State.DEAD)
    assert operate("discard", "--all") == "Discarded 1 delivery."
    assert states() == [State.DISCARDED]


def test_what_waits_is_discarded_where_its_state_is_named():
    deliver()
    assert operate("discard", "--all") == "Discarded 0 deliveries."
    assert operate("discard", "--state", "READY") == "Discarded 1 delivery."


@pytest.mark.parametrize("state", [State.RUNNING, State.SUCCESSFUL])
def test_nothing_else_is(state):
    deliver(state)
    assert operate("discard", "--all") == "Discarded 0 deliveries."
    assert states() == [state]


def test_a_state_that_cannot_be_discarded_is_refused():
    assert "argument --state: invalid choice: 'SUCCESSFUL'" in error_of("discard", "--state", "SUCCESSFUL")


def test_those_that_were_sent_long_ago_can_be_discarded():
    deliver(created_at=ago(120))
    deliver(created_at=ago(10))
    assert operate("discard", "--older-than", 60, "--state", "READY") == "Discarded 1 delivery."
    assert states() == [State.DISCARDED, State.READY]


def test_a_reason_is_in_the_history():
    deliver(State.DEAD)
    operate("discard", "--all", "--reason", "no use")
    assert Delivery.objects.get().error == "no use"


@pytest.mark.parametrize(("verb", "done"), [("redeliver", "redelivered"), ("discard", "discarded")])
def test_a_delivery_has_the_operation_in_its_history(verb, done):
    deliver(State.DEAD)
    operate(verb, "--queue", "mail", "--reason", "no use")
    (event,) = Delivery.objects.get().events
    assert (event["operation"], event["by"], event["reason"]) == (done, f"manage.py outbox {verb}", "no use")


def test_without_one_the_command_is():
    deliver(State.DEAD)
    operate("discard", "--all")
    assert Delivery.objects.get().error == "discarded with manage.py outbox discard"


def test_a_dry_run_discards_nothing():
    deliver(State.DEAD)
    assert run("discard", "--all", "--dry-run").startswith("Would discard 1 delivery:")
    assert states() == [State.DEAD]


# --- prune --------------------------------------------------------------------------------------------------------


def test_what_the_settings_keep_no_longer_is_pruned():
    deliver(State.SUCCESSFUL, finished_at=ago(8 * 24 * 3600))
    deliver(State.SUCCESSFUL)
    assert run("prune") == "Pruned 1 delivery."
    assert states() == [State.SUCCESSFUL]


def test_of_that_a_queue_or_a_receiver_can_be_chosen():
    deliver(State.SUCCESSFUL, finished_at=ago(8 * 24 * 3600))
    assert run("prune", "--queue", "slow") == "Pruned 0 deliveries."
    assert run("prune", "--queue", "mail", "--receiver", RECEIVER) == "Pruned 1 delivery."


def test_another_age_can_be_said():
    deliver(State.SUCCESSFUL)
    assert run("prune", "--older-than", 3600) == "Pruned 0 deliveries."
    assert run("prune", "--older-than", 10) == "Pruned 1 delivery."


@pytest.mark.parametrize(("age", "count"), [("1d", 0), ("1h", 0), ("2m", 0), ("30s", 1), ("0.5m", 1), ("0", 1)])
def test_an_age_may_have_a_unit(age, count):
    deliver(State.SUCCESSFUL, finished_at=ago(60))
    assert run("prune", "--older-than", age, "--dry-run").startswith(f"Would prune {count} ")


def test_dead_letters_are_pruned_where_it_is_said():
    deliver(State.DEAD)
    assert run("prune", "--older-than", 10) == "Pruned 0 deliveries."
    assert run("prune", "--older-than", 10, "--state", "DEAD") == "Pruned 1 delivery."


def test_what_has_not_finished_cannot_be_pruned():
    assert "argument --state: invalid choice: 'READY'" in error_of("prune", "--state", "READY")


def test_one_that_waits_is_not_pruned_by_its_id():
    delivery = deliver()
    assert run("prune", "--id", delivery.pk) == (
        f"Delivery {delivery.pk} is ready and stays as it is.\nPruned 0 deliveries."
    )


def test_a_dry_run_prunes_nothing():
    deliver(State.SUCCESSFUL, finished_at=ago(8 * 24 * 3600))
    assert run("prune", "--dry-run").splitlines() == [
        "Would prune 1 delivery:",
        f"  1 successful of {RECEIVER} in the queue 'mail'",
    ]
    assert states() == [State.SUCCESSFUL]


# --- run ----------------------------------------------------------------------------------------------------------


@really_committed
def test_a_worker_makes_what_is_due_and_ends_if_it_is_to_drain(receive):
    calls = []

    @receive(sent, delivery=Durable())
    def count(number, **payload):
        calls.append(number)

    for number in range(3):
        sent.send(sender=None, using="default", number=number)
    run("run", "--drain")
    assert sorted(calls) == [0, 1, 2]
    assert states() == [State.SUCCESSFUL] * 3


@really_committed
def test_it_looks_at_the_queues_that_are_named(receive):
    @receive(sent, delivery=Durable(queue="slow"))
    def take_time(**payload):
        """A receiver."""

    @receive(sent, delivery=Durable(queue="mail"))
    def write(**payload):
        """A receiver."""

    sent.send(sender=None, using="default")
    run("run", "--drain", "--queue", "mail", "other")
    assert dict(Delivery.objects.values_list("queue", "state")) == {"slow": "READY", "mail": "SUCCESSFUL"}


@really_committed
def test_several_can_be_made_at_the_same_time(name):
    for _ in range(5):
        sent.send(sender=None, using="default")
    run("run", "--drain", "--concurrency", 3)
    assert states() == [State.SUCCESSFUL] * 5


@really_committed
def test_a_worker_of_another_database_makes_those_of_that(name):
    sent.send(sender=None, using="other")
    run("run", "--drain", "--database", "other")
    assert states("other") == [State.SUCCESSFUL]


@really_committed
def test_an_attempt_that_fails_does_not_fail_the_command(receive):
    @receive(sent, delivery=Durable(retry=Retry(attempts=1)))
    def fail(**payload):
        raise ZeroDivisionError

    sent.send(sender=None, using="default")
    run("run", "--drain")
    assert states() == [State.DEAD]


@really_committed
def test_a_worker_says_what_it_does_where_the_settings_show_no_log(name, capsys, monkeypatch):
    monkeypatch.setattr(logging.getLogger("heliograph.outbox"), "propagate", False)
    run("run", "--drain")
    assert "INFO Worker started on 'default'" in capsys.readouterr().err


@really_committed
def test_it_says_nothing_to_who_wants_to_receive_nothing(name, capsys, monkeypatch):
    monkeypatch.setattr(logging.getLogger("heliograph.outbox"), "propagate", False)
    run("run", "--drain", "--verbosity", 0)
    assert capsys.readouterr().err == ""


@really_committed
@only_sqlite
def test_a_worker_says_once_what_is_wrong_with_its_database(capsys):
    said = run("run", "--drain", "--verbosity", 0, skip_checks=False)
    assert (said + capsys.readouterr().err).count("(heliograph.W103)") == 1


@really_committed
@only_sqlite
def test_it_does_not_say_what_the_settings_silence(settings):
    settings.SILENCED_SYSTEM_CHECKS = ["heliograph.W102", "heliograph.W103"]
    assert run("run", "--drain", "--verbosity", 0) == ""


# --- mistakes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["run", "status", "redeliver", "discard", "prune"])
def test_a_database_that_does_not_exist_is_refused(verb):
    message = error_of(verb, "--database", "elsewhere")
    assert message == "Error: argument --database: DATABASES has no 'elsewhere': it has 'default', 'other'."


@pytest.mark.parametrize("number", ["0", "-1", "x", "1.5", "²", "9" * 30])
def test_an_id_is_a_whole_number(number):
    message = error_of("redeliver", f"--id={number}")
    assert message == f"Error: argument --id: it takes whole numbers from 1, not {number!r}."


@pytest.mark.parametrize("number", ["0", "-1", "x"])
def test_a_worker_makes_one_delivery_at_a_time_at_least(number):
    message = error_of("run", f"--concurrency={number}")
    assert message == f"Error: argument --concurrency: it takes whole numbers from 1, not {number!r}."


@pytest.mark.parametrize(
    ("verb", "flag"),
    [
        ("run", "--grace"),
        ("status", "--max-age"),
        ("status", "--max-running"),
    ],
)
@pytest.mark.parametrize("number", ["-1", "nan", "inf", "soon"])
def test_a_time_is_a_number_of_seconds(verb, flag, number):
    message = error_of(verb, f"{flag}={number}")
    assert message == (f"Error: argument {flag}: it takes seconds, from 0 to a hundred years of them, not {number!r}.")


@pytest.mark.parametrize("age", ["-1", "-1d", "nan", "infd", "soon", "", "d", "36600d"])
def test_an_age_is_a_duration(age):
    message = error_of("prune", f"--older-than={age}")
    assert message == (
        "Error: argument --older-than: it takes a duration such as 90d, 12h, 30m, 10s or 0,"
        f" at most a hundred years, not {age!r}."
    )


def test_a_verb_must_be_named():
    assert error_of() == "Error: the following arguments are required: VERB"


@pytest.fixture
def no_table():
    with connection.schema_editor() as editor:
        editor.delete_model(Delivery)
    yield
    with connection.schema_editor() as editor:
        editor.create_model(Delivery)


@really_committed
@pytest.mark.parametrize("arguments", [["status"], ["redeliver"], ["prune"], ["run", "--drain"]])
def test_a_table_that_is_missing_is_said_to_be(no_table, arguments):
    assert error_of(*arguments) == (
        "The tables of the outbox on 'default' are missing, or of another release: manage.py migrate makes them."
    )


def test_a_database_that_is_not_migrated_is_named_with_the_command_that_migrates_it():
    assert not_migrated("other").endswith(": manage.py migrate --database other makes them.")


def test_options_of_all_commands_are_taken_after_the_verb_too():
    assert run("status", "--no-color", "--skip-checks", "--settings", "tests.settings", "--verbosity", 2)
