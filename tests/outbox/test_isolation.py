"""What a receiver leaves behind in its thread: the next delivery is made without it."""

from contextlib import suppress
from contextvars import ContextVar
from decimal import Decimal, getcontext, localcontext
from zoneinfo import ZoneInfo

import pytest
from django.core.cache import caches
from django.db import connection, connections, transaction
from django.urls import get_script_prefix, get_urlconf, set_script_prefix, set_urlconf
from django.utils import timezone, translation

from heliograph import Durable, OnCommit, Retry, Signal, fixed, mute
from heliograph.outbox.models import Delivery, State
from heliograph.outbox.outcomes import Dead, Succeeded
from heliograph.outbox.work.runner import drain
from heliograph.outbox.worker import Worker
from heliograph.signals import post_save
from tests.app.models import Genre, Writer

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])

sent = Signal(name="shop.left")

tenant = ContextVar("tenant", default="nobody")


def send(count=2):
    for number in range(count):
        sent.send(sender=None, using="default", number=number)


def once():
    return Retry(attempts=1)


def rows():
    return Delivery.objects.order_by("pk")


def states():
    return list(rows().values_list("state", flat=True))


# --- the context --------------------------------------------------------------------------------------------------


@pytest.fixture
def muted(receive):
    """Whether `sent` is muted, as its other receiver finds out."""
    asked = Signal(name="shop.asked")

    @receive(asked)
    def answer(sender, **payload):
        return "received"

    return lambda: not asked.send(sender=None)


LEFT = {
    "language": (lambda: translation.activate("de"), translation.get_language),
    "time zone": (lambda: timezone.activate(ZoneInfo("Asia/Tokyo")), timezone.get_current_timezone_name),
    "context variable": (lambda: tenant.set("acme"), tenant.get),
    "precision of decimals": (lambda: setattr(getcontext(), "prec", 3), lambda: Decimal(1) / 3),
    "urlconf": (lambda: set_urlconf("shop.urls"), get_urlconf),
    "script prefix": (lambda: set_script_prefix("/shop/"), get_script_prefix),
    "mute": (lambda: muting.append(mute().__enter__()), None),
}

muting = []  # what receivers have entered and not left


@pytest.fixture(autouse=True)
def _left_at_the_end():
    yield
    while muting:
        muting.pop().__exit__()


each_left = pytest.mark.parametrize("name", LEFT)


@pytest.fixture
def left(request, muted):
    leave, look = LEFT[request.getfixturevalue("name")]
    return leave, look or muted


@each_left
@pytest.mark.parametrize("fails", [False, True])
def test_a3_what_a_receiver_leaves_in_the_context_is_gone_for_the_next_delivery(receive, left, name, fails):
    leave, look = left
    found = []

    @receive(sent, delivery=Durable(retry=once()))
    def record(sender, **payload):
        found.append(look())
        leave()
        found.append(look())
        assert not fails

    assert_gone(found, look)


@each_left
def test_the_same_of_an_async_receiver(receive, left, name):
    leave, look = left
    found = []

    @receive(sent, delivery=Durable(retry=once()))
    async def record(sender, **payload):
        found.append(look())
        leave()
        found.append(look())

    assert_gone(found, look)


def assert_gone(found, look):
    """Make two deliveries, each of which finds what was there before, and then what it has left itself."""
    send()
    Worker().run(drain=True)
    before, after = look(), found[1]
    assert found == [before, after, before, after]
    assert before != after


@each_left
def test_who_drains_finds_everything_as_it_was(receive, left, name):
    leave, look = left
    before = look()

    @receive(sent, delivery=Durable(retry=once()))
    def record(sender, **payload):
        leave()

    send()
    assert drain() == [Succeeded(), Succeeded()]
    assert look() == before


def test_a_receiver_has_the_context_of_who_drains(receive):
    found = []

    @receive(sent, delivery=Durable(retry=once()))
    def record(sender, **payload):
        found.append((translation.get_language(), Decimal(1) / 3))

    send()
    with translation.override("fr"), localcontext() as decimals:
        decimals.prec = 4
        drain()
    assert found == [("fr", Decimal("0.3333"))] * 2


def test_a_callback_after_the_commit_leaves_nothing_either(receive):
    found = []

    @receive(sent, delivery=Durable(retry=once()))
    def record(sender, **payload):
        found.append(translation.get_language())
        transaction.on_commit(lambda: translation.activate("de"))

    send()
    Worker().run(drain=True)
    assert found == [translation.get_language()] * 2


def test_all_deliveries_of_a_thread_have_the_same_caches(receive, settings):
    settings.CACHES = {
        "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
        "wrong": {"BACKEND": "shop.no.such.Cache"},
    }
    found = []

    @receive(sent, delivery=Durable(retry=once()))
    def record(sender, **payload):
        found.append(caches["default"])

    send()
    Worker().run(drain=True)
    assert found[0] is found[1]


# --- transactions -------------------------------------------------------------------------------------------------


def enter_atomic(using):
    transaction.atomic(using=using).__enter__()


def enter_two(using):
    enter_atomic(using)
    enter_atomic(using)


def take_commits_into_its_hands(using):
    transaction.set_autocommit(False, using=using)


def begin_by_sql(using):
    with connections[using].cursor() as cursor:
        cursor.execute("BEGIN")


def block_on(using):
    return (
        f"has left a block of atomic() open on '{using}'. What is not committed there is rolled back: write `with"
        f" transaction.atomic(using='{using}'):`."
    )


def autocommit_on(using):
    return (
        f"has left autocommit off on '{using}'. What is not committed there is rolled back: call"
        f" `set_autocommit(True, using='{using}')` in a `finally`, or use `transaction.atomic()`."
    )


def begun_on(using):
    return (
        f"has left a transaction open that its SQL has begun on '{using}'. What is not committed there is rolled back:"
        " end it with COMMIT or ROLLBACK, or use `transaction.atomic()`."
    )


WAYS = {
    "a block": (enter_atomic, block_on),
    "two blocks": (enter_two, block_on),
    "autocommit off": (take_commits_into_its_hands, autocommit_on),
    "BEGIN": (begin_by_sql, begun_on),
}


def each_way(*, atomic):
    return [
        pytest.param(way, atomic, using, id=f"{way}, {'atomic' if atomic else 'not atomic'}, {using}")
        for way in WAYS
        for using in ("default", "other")
        if using == "other" or not atomic or "block" in way  # Django refuses the others in a transaction
    ]


every_way = pytest.mark.parametrize(("way", "atomic", "using"), each_way(atomic=True) + each_way(atomic=False))


@every_way
def test_a2_a_receiver_that_leaves_a_transaction_open_has_failed_and_the_others_are_not_made_in_it(
    receive, way, atomic, using
):
    leave, text = WAYS[way]

    @receive(sent, delivery=Durable(retry=once(), atomic=atomic))
    def record(sender, number, **payload):
        Genre.objects.using(using).create()
        if number == 1:
            leave(using)
            Writer.objects.using(using).create(name="Ada")

    send(4)
    Worker().run(drain=True)
    assert states() == [State.SUCCESSFUL, State.DEAD, State.SUCCESSFUL, State.SUCCESSFUL]
    assert rows()[1].error == f"LeftOpenError: {rows()[1].receiver} {text(using)}"
    assert Writer.objects.using(using).count() == 0
    assert Genre.objects.using(using).count() >= 3


@every_way
def test_a_receiver_that_fails_with_a_transaction_open_has_its_own_error_and_a_note(receive, way, atomic, using):
    leave, text = WAYS[way]

    @receive(sent, delivery=Durable(retry=once(), atomic=atomic))
    def record(sender, number, **payload):
        Genre.objects.using(using).create()
        if number == 0:
            leave(using)
            raise ValueError("no")

    send(3)
    Worker().run(drain=True)
    assert states() == [State.DEAD, State.SUCCESSFUL, State.SUCCESSFUL]
    assert rows()[0].error == "ValueError: no"
    assert text(using) in rows()[0].traceback


def test_an_async_receiver_that_leaves_autocommit_off_has_failed(receive):
    @receive(sent, delivery=Durable(retry=once(), atomic=False))
    async def record(sender, number, **payload):
        from asgiref.sync import sync_to_async

        if number == 0:
            await sync_to_async(take_commits_into_its_hands)("default")
        await Genre.objects.acreate()

    send()
    Worker().run(drain=True)
    assert (states(), Genre.objects.count()) == ([State.DEAD, State.SUCCESSFUL], 1)


def test_it_is_attempted_again_as_after_other_errors(receive):
    @receive(sent, delivery=Durable(retry=Retry(attempts=2, backoff=fixed(0)), atomic=False))
    def record(sender, delivery, **payload):
        Genre.objects.create()
        if delivery.attempt == 1:
            enter_atomic("default")

    send(1)
    Worker().run(drain=True)
    assert (states(), rows()[0].attempts, Genre.objects.count()) == ([State.SUCCESSFUL], 2, 2)


def test_a_block_that_is_left_after_an_error_of_the_database_is_ended_too(receive):
    @receive(sent, delivery=Durable(retry=once(), atomic=False))
    def record(sender, number, **payload):
        Genre.objects.create()
        if number == 0:
            enter_atomic("default")
            with suppress(Exception), connection.cursor() as cursor:
                cursor.execute("SELECT nothing FROM nowhere")

    send()
    Worker().run(drain=True)
    assert states() == [State.DEAD, State.SUCCESSFUL]


def test_what_is_called_after_the_commit_leaves_none_open_either(receive):
    @receive(post_save, sender=Writer, delivery=OnCommit())
    def leave(sender, **kwargs):
        take_commits_into_its_hands("other")

    @receive(sent, delivery=Durable(retry=once()))
    def record(sender, number, **payload):
        Genre.objects.using("other").create()
        if number == 0:
            Writer.objects.create(name="Ada")

    send()
    Worker().run(drain=True)
    assert states() == [State.SUCCESSFUL, State.SUCCESSFUL]
    assert Genre.objects.using("other").count() == 2


def test_its_connection_is_closed(receive):
    found = []

    @receive(sent, delivery=Durable(retry=once(), atomic=False))
    def record(sender, number, **payload):
        Genre.objects.create()
        found.append(connection.connection)
        if number == 0:
            take_commits_into_its_hands("default")

    send()
    Worker().run(drain=True)
    assert found[0] is not found[1]


def test_one_that_leaves_nothing_open_keeps_its_connection(receive):
    found = []

    @receive(sent, delivery=Durable(retry=once(), atomic=False))
    def record(sender, **payload):
        with transaction.atomic():
            Genre.objects.create()
        found.append(connection.connection)

    send()
    Worker().run(drain=True)
    assert found[0] is found[1]


@pytest.mark.django_db(databases=["default", "other"])
def test_in_a_test_case_a_receiver_that_leaves_a_block_open_has_failed_and_the_test_goes_on(receive):
    @receive(sent, delivery=Durable(retry=once()))
    def record(sender, number, **payload):
        Genre.objects.create()
        enter_atomic("default")
        enter_atomic("other")

    Writer.objects.create(name="Ada")
    send(1)
    assert [type(one) for one in drain()] == [Dead]
    assert (Writer.objects.count(), Genre.objects.count()) == (1, 0)
    assert block_on("other") in rows()[0].error


def test_who_makes_commits_by_hand_may_drain(receive):
    """The transaction was open before, so that no receiver has left it."""

    @receive(sent, delivery=Durable(retry=once()))
    def record(sender, **payload):
        Genre.objects.using("other").create()

    send(1)
    transaction.set_autocommit(False, using="other")
    try:
        assert drain() == [Succeeded()]
        transaction.rollback(using="other")
    finally:
        transaction.set_autocommit(True, using="other")
    assert Genre.objects.using("other").count() == 0
