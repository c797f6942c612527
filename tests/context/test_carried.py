"""A thread, a task, an executor and another request have the context that they should have: group W of the cases."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse

from heliograph import Signal
from heliograph.context import EMPTY, Actor, acting, context, current
from heliograph.context.middleware import ContextMiddleware
from tests.helpers.errors import MishapError

ADA, BOB = Actor("", "ada"), Actor("", "bob")
TRIALS = 100_000

opened = Signal(name="opened")


def who():
    return current().actor


def test_a_plain_thread_has_no_context():
    found = []
    with acting("ada"):
        thread = threading.Thread(target=lambda: found.append(current()))
        thread.start()
        thread.join()
    assert found == [EMPTY]


def test_w6_a_function_that_is_carried_has_the_context_in_a_thread():
    found = []
    with acting("ada"):
        thread = threading.Thread(target=context.carried(lambda: found.append(who())))
    thread.start()
    thread.join()
    assert found == [ADA]


def test_w6_a_function_that_is_carried_has_the_context_of_the_moment_of_that():
    with acting("ada"):
        carried = context.carried(who)
    with acting("bob"), ThreadPoolExecutor(1) as pool:
        assert pool.submit(carried).result() == ADA
        assert carried() == ADA
        assert who() == BOB


def test_w6_the_next_call_in_the_thread_of_an_executor_has_none():
    with ThreadPoolExecutor(1) as pool:
        with acting("ada"):
            assert pool.submit(context.carried(who)).result() == ADA
        assert pool.submit(who).result() is None


def test_w6_so_it_is_after_an_error():
    def fail():
        raise MishapError

    with ThreadPoolExecutor(1) as pool:
        with acting("ada"):
            assert isinstance(pool.submit(context.carried(fail)).exception(), MishapError)
        assert pool.submit(who).result() is None


async def test_w6_an_async_function_is_carried_too():
    async def who_async():
        await asyncio.sleep(0)
        return who()

    with acting("ada"):
        carried = context.carried(who_async)
    assert await asyncio.create_task(carried()) == ADA


async def test_w2_tasks_and_threads_of_async_code_have_the_context():
    async def who_async():
        return who()

    with acting("ada"):
        task = asyncio.create_task(who_async())
        found = [await sync_to_async(who)(), await asyncio.to_thread(who)]
    assert [await task, *found] == [ADA] * 3


async def test_w2_async_receivers_have_the_context():
    found = []

    async def receive(sender, **kwargs):
        found.append(who())

    opened.connect(receive)
    try:
        with acting("ada"):
            await opened.asend(None)
    finally:
        opened.disconnect(receive)
    assert found == [ADA]


async def test_w7_tasks_that_act_at_once_do_not_mix():
    async def act(name):
        with acting(name):
            for _ in range(10):
                await asyncio.sleep(0)
                assert who() == Actor("", name)

    await asyncio.gather(*(act(str(number)) for number in range(200)))
    assert current() is EMPTY


# --- 100,000 requests -------------------------------------------------------------------------------------------


def mixed(response, number):
    """Return whether a response has the id of another request."""
    return response.content != str(number).encode()


def request(number):
    made = HttpRequest()
    made.META["HTTP_X_REQUEST_ID"] = str(number)
    return made


def test_w7_requests_in_threads_never_mix():
    turn = threading.Barrier(8, timeout=60)

    def view(request):
        before = current().request_id
        if int(before) % 100 == 99:  # all threads are in a view at once, again and again
            turn.wait()
        return HttpResponse(current().request_id if before == current().request_id else "")

    def serve(thread):
        requests = ((number, request(number)) for number in range(thread * TRIALS // 8, (thread + 1) * TRIALS // 8))
        return sum(mixed(middleware(one), number) for number, one in requests)

    middleware = ContextMiddleware(view)
    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(serve, range(8))) == 0


async def test_w7_requests_in_tasks_never_mix():
    async def view(request):
        before = current().request_id
        await asyncio.sleep(0)
        return HttpResponse(current().request_id if before == current().request_id else "")

    async def serve(number):
        return mixed(await middleware(request(number)), number)

    middleware, wrong = ContextMiddleware(view), 0
    for start in range(0, TRIALS, 1000):
        wrong += sum(await asyncio.gather(*(serve(number) for number in range(start, start + 1000))))
    assert wrong == 0
    assert current() is EMPTY
