"""Whatever people and workers do in whatever order, the outbox does what a plain model of it says."""

import json
import logging
import os
from collections import Counter
from contextlib import contextmanager
from datetime import timedelta
from itertools import count

import pytest
from django.db import IntegrityError, transaction
from django.db.models import F
from django.db.models.signals import post_delete, post_save
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from heliograph import Discard, Durable, Retry, RetryAfter, Signal, changed, created, fixed, observe
from heliograph.outbox.clock import DatabaseNow
from heliograph.outbox.events import DeliveryEvent
from heliograph.outbox.manage.operations import delete, discard, prune, redeliver
from heliograph.outbox.models import Delivery
from heliograph.outbox.upkeep.rescuing import rescue
from heliograph.outbox.work import runner
from heliograph.outbox.work.runner import Runner, drain
from tests.app.models import Novel, Writer
from tests.helpers import outbox_model
from tests.helpers.outbox_model import FAILURES, PLANS, SUCCEEDS, Model, Sent, order_of, plan_of
from tests.helpers.savepoints import by_hand, in_block

pytestmark = pytest.mark.django_db(transaction=True)

# A run by CI has the same examples each time. With a number of examples of your own, they are random.
EXAMPLES = int(os.environ.get("HELIOGRAPH_TEST_EXAMPLES", "0"))
USUAL_EXAMPLES = 30
STEPS = 20

sent = Signal(name="tests.machine.sent")
caused = Signal(name="tests.machine.caused")


# --- receivers ----------------------------------------------------------------------------------------------------


class GiveUpError(Exception): ...


def of_row(sender, instance, delivery, **kwargs):
    return act(delivery, plan_of(instance.pk))


def of_row_in_order(sender, delivery, changes, **kwargs):
    return act(delivery, plan_of(kwargs["instance"].pk))


def of_row_outside(sender, delivery, changes, **kwargs):
    return act(delivery, plan_of(kwargs["instance"].pk))


def of_deletion(sender, instance, delivery, **kwargs):
    return act(delivery, plan_of(instance.pk))


def of_batch(sender, batch, delivery, **kwargs):
    return act(delivery, SUCCEEDS)


def of_signal(number, plan, delivery, **kwargs):
    return act(delivery, plan)


def of_signal_in_order(number, plan, delivery, **kwargs):
    return act(delivery, plan)


def of_signal_outside(number, plan, delivery, **kwargs):
    return act(delivery, plan)


def of_cause(about, delivery, **kwargs):
    return act(delivery, SUCCEEDS)


def act(delivery, plan):
    """Leave an effect in the database, and then do what the plan says."""
    Writer.objects.create(name=f"{delivery.id}")
    match plan:
        case "sends":
            caused.send(sender=None, using="default", about=[delivery.id, delivery.attempt])
        case "discards":
            return Discard("nothing to do")
        case "raises discard":
            raise Discard("nothing to do")
        case "gives up":
            raise GiveUpError
    if delivery.attempt <= FAILURES[plan]:
        fail(plan)


def fail(plan):
    if plan == "waits":
        raise RetryAfter(3600)
    if plan == "breaks":
        Writer.objects.bulk_create([Writer(pk=1), Writer(pk=1)])
    raise ConnectionError("no answer")


def connect_all(receive):
    def durable(**options):
        retry = Retry(attempts=outbox_model.ATTEMPTS, backoff=fixed(0), jitter=0, give_up_on=GiveUpError)
        return {"delivery": Durable(retry=retry, **options)}

    rows = {"sender": Novel, "bulk": True}
    ordered = {"key": lambda instance, **kwargs: order_of(instance.pk) or None}
    receive(post_save, when=created, **rows, **durable())(of_row)
    receive(post_save, when=created | changed("name"), **rows, **durable(missing="call", **ordered))(of_row_in_order)
    receive(post_save, when=changed("name"), **rows, **durable(missing="call", atomic=False))(of_row_outside)
    receive(post_delete, **rows, **durable())(of_deletion)
    receive(post_save, when=created | changed("name"), **rows, **durable(missing="call", batch=True))(of_batch)
    receive(post_delete, **rows, **durable(missing="call", batch=True))(of_batch)
    receive(sent, **durable())(of_signal)
    receive(sent, **durable(key="key"))(of_signal_in_order)
    receive(sent, **durable(key="key", atomic=False))(of_signal_outside)
    receive(caused, **durable())(of_cause)


# --- what the table has -------------------------------------------------------------------------------------------


def sent_of(receiver, key, payload):
    """Return what a row of the table was sent, in the words of the model."""
    values = json.loads(payload)["kwargs"]
    name = receiver.rpartition(".")[2]
    if name == "of_batch":
        return Sent(name, frozenset(events_of(values["batch"]["value"])))
    if "instance" not in values:
        about = values["number"] if "number" in values else tuple(values["about"])
        return Sent(name, about, key, values.get("plan", SUCCEEDS))
    if name == "of_deletion":
        gone = values["instance"]["value"][2]
        return Sent(name, (gone["id"], None), key, plan_of(gone["id"]))
    row = values["instance"]["value"][1][0]
    change = values.get("changes", {}).get("name")
    return Sent(name, (row, change and tuple(change["value"])), key, plan_of(row))


def events_of(batch):
    """Yield the key, the old name and the new name of each event of a batch; None stands for no row."""
    for common, (key,), changes, *rest in batch["events"]:
        kind = batch["commons"][common]["kind"]
        if kind == "updated":
            yield key, *changes["name"]["value"]
        else:
            name = rest[0]["name"]
            yield (key, None, name) if kind == "created" else (key, name, None)


# --- the machine --------------------------------------------------------------------------------------------------

KEYS = st.lists(st.integers(1, 7), min_size=1, max_size=3, unique=True)
PICKS = st.just([]) | st.lists(st.integers(0, 9), min_size=1, max_size=6, unique=True)  # none stands for all
ENDS = st.sampled_from(["release", "roll back", "raise"])
WAYS = ["create", "bulk_create", "save", "save_unchanged", "update", "bulk_update", "delete_row", "delete_rows"]
WRITES = st.tuples(st.just("write"), st.sampled_from(WAYS), KEYS)
SENDS = st.tuples(st.just("send"), st.sampled_from("ab"), st.sampled_from(PLANS))
OPERATIONS = st.tuples(
    st.just("operate"), st.sampled_from(["redeliver", "discard", "delete", "prune", "grow_old", "hasten"]), PICKS
)


def steps(inner=None):
    """What is done in a transaction; `inner` is what is done in the savepoints in it, which are Django's or by hand."""
    blocks = [] if inner is None else [st.tuples(st.just("block"), st.booleans(), ENDS, inner)]
    return st.lists(st.one_of(WRITES, SENDS, OPERATIONS, *blocks), min_size=1, max_size=4)


ALONE = st.lists(st.one_of(WRITES, SENDS, OPERATIONS), min_size=1, max_size=4)
# What happens while a worker has stopped, before its lease has run out and after.
MEANWHILE = st.tuples(
    st.lists(st.one_of(OPERATIONS, SENDS, st.tuples(st.just("drain"))), min_size=1, max_size=4),
    st.lists(st.one_of(OPERATIONS, WRITES, st.tuples(st.just("drain"))), max_size=4),
)


class Machine(RuleBasedStateMachine):
    """A database with its outbox, beside the model of it."""

    def __init__(self):
        super().__init__()
        for model in (Delivery, Novel, Writer):
            model.objects.all()._raw_delete("default")
        self.model = Model()
        self.numbers = count(1)

    def teardown(self):
        """See that everything is done once its time has come."""
        while self.model.has_unfinished():
            self.operate("hasten", [])
            assert self.model.claimable(), self.model
            self.drain()
        self.is_as_the_model()

    # --- senders -----------------------------------------------------------------------------------------------

    @rule(done=steps(steps(steps())), how=ENDS)
    def transact(self, done, how):
        """Do some things in a transaction."""
        self.block(False, how, done)
        self.account()

    @rule(done=ALONE)
    def do_alone(self, done):
        """Do some things in autocommit."""
        self.do_outside(done)

    def do(self, done):
        for name, *arguments in done:
            getattr(self, name)(*arguments)

    def block(self, is_by_hand, how, done):
        self.model.begin()
        with (by_hand if is_by_hand else in_block)(how):
            self.do(done)
            self.is_as_the_model()
        if how == "release":
            self.model.release()
        else:
            self.model.roll_back()

    def account(self):
        """Account for what was committed."""
        self.look()
        self.model.commit()

    def look(self):
        rows = Delivery.objects.values_list("pk", "receiver", "key", "payload")
        self.model.see({number: sent_of(*rest) for number, *rest in rows})

    def send(self, key, plan):
        number = next(self.numbers)
        sent.send(sender=None, using="default", number=number, key=key, plan=plan)
        self.model.send(outbox_model.sent_of_signal(number, key, plan))

    def write(self, way, keys):
        """Write some rows, and give the model the names that they have then; None is for a row that is gone."""
        self.model.write(getattr(self, way)(keys))

    def name(self):
        return f"name {next(self.numbers)}"

    def present(self, keys):
        return sorted({*keys} & self.model.now.rows.keys())

    def absent(self, keys):
        return sorted({*keys} - self.model.now.rows.keys())

    def create(self, keys):
        """Create a row, which fails after another one was created if there is one with its key."""
        key, name = keys[0], self.name()
        if key not in self.model.now.rows:
            Novel.objects.create(pk=key, name=name)
            return {key: name}
        with pytest.raises(IntegrityError):
            self.create_two(key, name)
        return {}

    @staticmethod
    @transaction.atomic
    def create_two(key, name):
        Novel.objects.create(name=name)
        Novel.objects.create(pk=key, name=name)

    def bulk_create(self, keys):
        novels = [Novel(pk=key, name=self.name()) for key in self.absent(keys)]
        Novel.objects.bulk_create(novels)
        return {novel.pk: novel.name for novel in novels}

    def save(self, keys):
        return self.saved(keys, self.name())

    def save_unchanged(self, keys):
        return self.saved(keys, None)

    def saved(self, keys, name):
        for novel in Novel.objects.filter(pk__in=keys)[:1]:
            novel.name = name or novel.name
            novel.save()
            return {novel.pk: novel.name}
        return {}

    def update(self, keys):
        """Update some rows, of which one has the name already."""
        there = self.present(keys)
        name = self.model.now.rows[there[0]] if len(there) > 1 else self.name()
        Novel.objects.filter(pk__in=keys).update(name=name)
        return dict.fromkeys(there, name)

    def bulk_update(self, keys):
        novels = [*Novel.objects.filter(pk__in=keys)]
        for novel in novels:
            novel.name = self.name()
        Novel.objects.bulk_update(novels, ["name"])
        return {novel.pk: novel.name for novel in novels}

    def delete_row(self, keys):
        for novel in Novel.objects.filter(pk__in=keys)[:1]:
            key = novel.pk
            novel.delete()
            return {key: None}
        return {}

    def delete_rows(self, keys):
        Novel.objects.filter(pk__in=keys).delete()
        return dict.fromkeys(self.present(keys))

    # --- workers -----------------------------------------------------------------------------------------------

    @contextmanager
    def followed(self, held=None):
        """Have the model follow the attempts that are made in a block, by a worker that has `held`, or that claims."""
        events = []
        with observe(lambda event: events.append(event) if isinstance(event, DeliveryEvent) else None):
            yield events
        self.look()
        self.model.replay([(event.name, event.id, event.attempt) for event in events], held)
        assert not self.model.unknown, f"Nobody has sent {self.model.unknown}"

    @precondition(lambda self: self.model.claimable())
    @rule(limit=st.none() | st.integers(1, 4))
    def drain(self, limit=None):
        with self.followed() as events:
            drain(limit=limit)
        made = sum(event.name == "delivery_started" for event in events)
        assert made == limit or not self.model.claimable(), self.model

    @precondition(lambda self: len(self.model.claimable()) > 1)
    @rule(size=st.integers(2, 8), meanwhile=MEANWHILE, is_lost=st.booleans())
    def interrupt(self, size, meanwhile, is_lost):
        """Let a worker claim some deliveries, make one, and stop; things happen, and it goes on.

        If it is lost, it goes on after its lease has run out, and after others may have made what it had.
        """
        worker = Runner("default")
        worker.size = size
        rest = worker.outcomes()
        with self.followed():
            next(rest)
        for number in held_by(worker):
            self.model.claim(number)
        before, after = meanwhile
        self.do_outside(before)
        if is_lost:
            self.lose(worker)
        self.do_outside(after)
        with self.followed(held_by(worker)):
            list(rest)
        self.model.hand_back(held_by(worker))
        worker.give_up()

    def do_outside(self, done):
        """Do some things outside of transactions."""
        for step in done:
            self.do([step])
            self.account()
            self.is_as_the_model()

    def lose(self, worker):
        """Have the lease of a worker run out, and another one rescue what it had."""
        held = held_by(worker)
        Delivery.objects.filter(pk__in=held).update(leased_until=DatabaseNow() - timedelta(minutes=1))
        assert rescue("default") == len(held)
        self.model.lose(held)

    # --- people and time ---------------------------------------------------------------------------------------

    def operate(self, what, picks):
        """Do something to some of the deliveries, or to all if none is picked."""
        numbers = sorted(self.model.now.deliveries)
        picked = [numbers[at] for at in picks if at < len(numbers)] or numbers
        assert getattr(self, what)(Delivery.objects.filter(pk__in=picked)) == getattr(self.model, what)(picked)

    def redeliver(self, deliveries):
        return redeliver(deliveries)

    def discard(self, deliveries):
        return discard(deliveries, "not wanted")

    def delete(self, deliveries):
        return delete(deliveries)

    def prune(self, deliveries):
        return prune("default")

    def grow_old(self, deliveries):
        return deliveries.exclude(finished_at=None).update(finished_at=F("finished_at") - timedelta(days=8))

    def hasten(self, deliveries):
        """Let the time come of what waits."""
        return deliveries.filter(state="READY").update(due_at=F("created_at"))

    # --- what must hold ----------------------------------------------------------------------------------------

    @invariant()
    def is_as_the_model(self):
        assert dict(Novel.objects.values_list("pk", "name")) == self.model.now.rows
        assert Counter(map(int, Writer.objects.values_list("name", flat=True))) == self.model.effects
        rows = Delivery.objects.values_list("pk", "receiver", "key", "state", "attempts")
        found = {number: (receiver.rpartition(".")[2], *rest) for number, receiver, *rest in rows}
        assert found == {number: one.line for number, one in self.model.now.deliveries.items()}


def held_by(worker):
    """Return the deliveries that a worker has."""
    held = Delivery.objects.filter(state="RUNNING", worker=worker.name)
    return [*held.order_by("pk").values_list("pk", flat=True)]


@pytest.mark.timeout(600)  # the smallest example of a failure takes long to find
def test_the_outbox_does_what_its_model_says(receive, caplog, monkeypatch):
    connect_all(receive)
    monkeypatch.setattr(runner, "SECONDS_CLAIMED", 1000)  # what is claimed at once must not depend on the time
    caplog.set_level(logging.CRITICAL, "heliograph.outbox")  # failures are a part of it
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=EXAMPLES or USUAL_EXAMPLES,
            stateful_step_count=STEPS,
            derandomize=not EXAMPLES,
            phases=[Phase.generate, Phase.shrink],
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )
