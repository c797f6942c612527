"""Traces, analyses and effects belong to a thread or task: others at the same time are in none of them."""

import asyncio
import threading

import pytest
from django.core import mail
from django.core.cache import cache
from django.core.mail import EmailMessage
from django.db import connections

from heliograph import Signal, trace
from heliograph.dispatch import Called
from heliograph.flow.effects.watching_effects import watched_effects
from tests.app.models import Article
from tests.app.models_of_books import Genre
from tests.helpers.patched import patched_methods

pytestmark = pytest.mark.django_db(transaction=True)


def side_by_side(*functions):
    """Call each function in a thread of its own; each is given a barrier at which all meet."""
    barrier, raised = threading.Barrier(len(functions), timeout=60), []

    def run(function):
        try:
            function(barrier)
        except BaseException as error:
            raised.append(error)
            barrier.abort()
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=[function]) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert raised == []


def senders_of(flow):
    return {event.sender for event in flow.events if isinstance(event, Called)}


def test_v4_two_threads_do_not_see_each_others_traces():
    signal, flows = Signal(name="shop.sold"), {}
    signal.connect(lambda **kwargs: None, weak=False)

    def traced(sender):
        def run(barrier):
            with trace() as flow:
                barrier.wait()
                signal.send(sender)
                barrier.wait()
            flows[sender] = flow

        return run

    side_by_side(traced("one"), traced("other"))

    assert {sender: senders_of(flow) for sender, flow in flows.items()} == {"one": {"one"}, "other": {"other"}}


def test_v4_two_threads_do_not_see_each_others_saves_and_queries():
    flows = {}

    def traced(model):
        def run(barrier):
            with trace() as flow:
                barrier.wait()
                model.objects.create()
                barrier.wait()
            flows[model] = flow

        return run

    side_by_side(traced(Article), traced(Genre))

    for model, flow in flows.items():
        [save] = [node.event.model for node in flow.tree.nodes() if hasattr(node.event, "model")]
        tables = {query.sql.split()[2] for query in flow.tree.all_queries if query.sql.startswith("INSERT")}
        assert save is model
        assert [model._meta.db_table in table for table in tables] == [True]


async def test_v4_two_tasks_do_not_see_each_others_traces():
    signal, barrier = Signal(name="shop.sold"), asyncio.Barrier(2)

    async def receive(sender, **kwargs):
        await barrier.wait()

    async def traced(sender):
        with trace() as flow:
            await barrier.wait()
            await signal.asend(sender)
        return senders_of(flow)

    signal.connect(receive)
    assert await asyncio.gather(traced("one"), traced("other")) == [{"one"}, {"other"}]


def test_v4_a_thread_beside_a_watched_one_sends_its_mails_and_writes_its_caches():
    seen = []

    def watched(barrier):
        with watched_effects() as effects:
            barrier.wait()  # the other one acts
            barrier.wait()
            cache.set("of_the_watched", 1)
        seen.extend(effect.text for effect in effects)

    def free(barrier):
        barrier.wait()
        EmailMessage("Free", "", "shop@example.org", ["ada@example.org"]).send()
        cache.set("of_the_other", 1)
        barrier.wait()

    side_by_side(watched, free)

    assert [one.subject for one in mail.outbox] == ["Free"]
    assert (cache.get("of_the_other"), cache.get("of_the_watched")) == (1, None)
    assert seen == ["cache default: set 'of_the_watched'"]
    cache.clear()


def test_v7_a_trace_that_ends_leaves_no_method_patched():
    before = patched_methods()
    with trace(), trace():
        assert patched_methods() != before
    assert patched_methods() == before
