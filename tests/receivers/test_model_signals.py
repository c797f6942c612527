"""Receivers of models that save, with Django's ORM below them: re-entrance, order, scopes and routes."""

import asyncio
import re
import threading

import pytest
from asgiref.sync import sync_to_async
from django.db import connection, transaction

from heliograph import ReentrancyError, capture, mute, trace
from heliograph.dispatch import Sent
from heliograph.signals import m2m_changed, post_delete, post_init, post_save, pre_delete, pre_save
from tests.app.models import Genre, Novel, Reading, Reprint, Review, Writer

database = pytest.mark.django_db
committing = pytest.mark.django_db(transaction=True)


def in_a_thread(function):
    """Call a function in another thread, with a connection of its own."""

    def call():
        try:
            function()
        finally:
            connection.close()

    thread = threading.Thread(target=call)
    thread.start()
    thread.join()


# --- a receiver that saves what it is handling ------------------------------------------------------------------------


@database
@pytest.mark.parametrize("signal", [pre_save, post_save])
def test_d1_a_receiver_that_saves_its_instance_runs_once(receive, signal):
    calls = []

    @receive(signal, sender=Writer)
    def save_again(instance, **kwargs):
        calls.append(instance.name)
        instance.save()

    Writer(name="Ada").save()
    assert calls == ["Ada"]


@database
def test_a_receiver_that_saves_another_object_of_its_row_runs_once(receive):
    calls = []

    @receive(post_save, sender=Writer)
    def save_again(instance, **kwargs):
        calls.append(instance.name)
        Writer.objects.get(pk=instance.pk).save()

    Writer.objects.create(name="Ada")
    assert calls == ["Ada"]


@database
def test_a_receiver_runs_again_for_the_next_save(receive):
    calls = []

    @receive(post_save, sender=Writer)
    def save_again(instance, **kwargs):
        calls.append(instance.name)
        instance.save()

    writer = Writer.objects.create(name="Ada")
    writer.save()
    assert calls == ["Ada", "Ada"]


@database
def test_a_receiver_runs_again_after_it_raised(receive):
    calls = []

    @receive(post_save, sender=Writer)
    def fail_once(instance, **kwargs):
        calls.append(instance.name)
        if len(calls) == 1:
            raise ZeroDivisionError

    writer = Writer(name="Ada")
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        writer.save()
    Writer(name="Ada").save()
    assert calls == ["Ada", "Ada"]


@database
def test_a_receiver_runs_for_another_row_that_it_saves(receive):
    calls = []

    @receive(post_save, sender=Writer)
    def save_another(instance, **kwargs):
        calls.append(instance.name)
        if instance.name == "Ada":
            Writer.objects.create(name="Grace")

    Writer.objects.create(name="Ada")
    assert calls == ["Ada", "Grace"]


@database
def test_a_receiver_runs_for_a_row_of_another_model_with_the_same_key(receive):
    calls = []

    @receive(post_save, sender=[Writer, Genre])
    def save_another(sender, instance, **kwargs):
        calls.append(sender)
        if sender is Writer:
            Genre.objects.create(pk=instance.pk)

    Writer.objects.create()
    assert calls == [Writer, Genre]


@pytest.mark.django_db(databases=["default", "other"])
def test_a_receiver_runs_for_the_same_key_in_another_database(receive):
    calls = []

    @receive(post_save, sender=Writer)
    def copy(instance, using, **kwargs):
        calls.append(using)
        if using == "default":
            Writer(pk=instance.pk).save(using="other")

    Writer.objects.create()
    assert calls == ["default", "other"]


@database
def test_other_receivers_receive_the_save_of_a_receiver(receive, listen):
    received = listen(post_save, sender=Writer)

    @receive(post_save, sender=Writer)
    def save_again(instance, **kwargs):
        instance.save()

    Writer.objects.create()
    assert [payload["created"] for _, payload in received] == [True, False]


@database
def test_a_receiver_that_was_connected_without_the_decorator_is_called_again_as_in_django():
    calls = []

    def save_again(instance, **kwargs):
        calls.append(instance)
        if len(calls) < 3:
            instance.save()

    post_save.connect(save_again, sender=Writer)
    Writer.objects.create()
    assert len(calls) == 3


@database
def test_a_receiver_that_saves_its_row_through_a_proxy_runs_once(receive):
    calls = []

    @receive(post_save, sender=Novel, subclasses=True)
    def save_as_proxy(sender, instance, **kwargs):
        calls.append(sender)
        Reprint.objects.get(pk=instance.pk).save()

    Novel.objects.create()
    assert calls == [Novel]


@database
def test_a_receiver_that_changes_a_relation_of_its_instance_runs_once(receive):
    calls = []
    genre = Genre.objects.create()

    @receive(m2m_changed, sender=Novel.genres.through)
    def add_another(instance, action, **kwargs):
        calls.append(action)
        instance.genres.add(genre)

    Novel.objects.create().genres.add(Genre.objects.create())
    assert calls == ["pre_add", "post_add"]


@database
def test_a_receiver_that_deletes_its_instance_runs_once(receive):
    calls = []

    @receive(pre_delete, sender=Novel)
    def delete_again(instance, **kwargs):
        calls.append(instance.pk)
        Novel.objects.get(pk=instance.pk).delete()

    novel = Novel.objects.create()
    key = novel.pk
    novel.delete()
    assert calls == [key]


@committing
@pytest.mark.parametrize("signal", [pre_save, post_save])
async def test_a_receiver_that_saves_its_instance_runs_once_for_asave(receive, async_database, signal):
    calls = []

    @receive(signal, sender=Writer)
    def save_again(instance, **kwargs):
        calls.append(instance.name)
        instance.save()

    await Writer(name="Ada").asave()
    assert calls == ["Ada"]


@committing
async def test_an_async_receiver_that_saves_its_instance_runs_once(receive, async_database):
    calls = []

    @receive(post_save, sender=Writer)
    async def save_again(instance, **kwargs):
        calls.append(instance.name)
        await instance.asave()

    await Writer(name="Ada").asave()
    assert calls == ["Ada"]


@committing
def test_an_async_receiver_that_saves_its_instance_runs_once_for_a_sync_save(receive):
    calls = []

    @receive(post_save, sender=Writer)
    async def save_again(instance, **kwargs):
        calls.append(instance.name)
        await sync_to_async(instance.save)()

    Writer.objects.create(name="Ada")
    assert calls == ["Ada"]


@committing
async def test_a_receiver_that_saves_its_instance_runs_once_for_each_of_many_concurrent_saves(receive, async_database):
    calls = []

    @receive(post_save, sender=Writer)
    def save_again(instance, **kwargs):
        calls.append(instance.name)
        instance.save()

    await asyncio.gather(*(Writer(name=str(number)).asave() for number in range(20)))
    assert sorted(calls, key=int) == [str(number) for number in range(20)]


@committing
async def test_a_receiver_runs_for_two_objects_of_one_row_that_are_saved_at_once(receive, async_database):
    calls = []
    writer = await Writer.objects.acreate()

    @receive(post_save, sender=Writer)
    def record(instance, **kwargs):
        calls.append(instance)

    await asyncio.gather(*(Writer(pk=writer.pk).asave() for _ in range(5)))
    assert len(calls) == 5


@committing
def test_a_receiver_runs_for_its_row_in_another_thread_while_it_handles_it(receive):
    calls = []

    @receive(post_save, sender=Writer)
    def save_elsewhere(instance, **kwargs):
        calls.append(threading.current_thread())
        if len(calls) == 1:
            in_a_thread(Writer(pk=instance.pk).save)

    Writer.objects.create()
    assert len(set(calls)) == 2


# --- a loop of several receivers ------------------------------------------------------------------------------------


@database
def test_a_loop_of_two_receivers_runs_each_once(receive):
    calls = []

    @receive(post_save, sender=Writer)
    def save_novel(instance, **kwargs):
        calls.append("writer")
        Novel.objects.get_or_create(writer=instance)[0].save()

    @receive(post_save, sender=Novel)
    def save_writer(instance, **kwargs):
        calls.append("novel")
        instance.writer.save()

    Writer.objects.create()
    # get_or_create() saves the novel, then the receiver does: two sends, neither inside the other.
    assert calls == ["writer", "novel", "novel"]


@database
def test_d1_a_loop_of_two_receivers_is_reported_with_its_chain(receive):
    @receive(post_save, sender=Writer, reentrant="raise")
    def save_review(instance, **kwargs):
        Review.objects.create()

    @receive(post_save, sender=Review)
    def save_writer(instance, **kwargs):
        writer.save()

    writer = Writer(pk=7)
    with pytest.raises(ReentrancyError) as caught:
        writer.save()
    here = f"{__name__}.test_d1_a_loop_of_two_receivers_is_reported_with_its_chain.<locals>"
    review = Review.objects.order_by("pk").last()
    assert str(caught.value) == (
        f"{here}.save_review was called for the instance it is handling:"
        f" {here}.save_review (Writer pk=7) -> {here}.save_writer (Review pk={review.pk})"
        f" -> {here}.save_review (Writer pk=7)."
        " Write under mute(), or connect it with reentrant='skip'."
    )


@committing
def test_a_loop_that_is_reported_rolls_the_block_back(receive):
    @receive(post_save, sender=Writer, reentrant="raise")
    def save_again(instance, **kwargs):
        instance.save()

    with pytest.raises(ReentrancyError), transaction.atomic():
        Writer.objects.create()
    assert Writer.objects.count() == 0


# --- order ------------------------------------------------------------------------------------------------------------


@database
def test_d7_a_receiver_of_a_third_party_keeps_its_place(connect):
    calls = []
    connect(post_save, lambda **kwargs: calls.append("theirs"), sender=Writer)
    connect(post_save, lambda **kwargs: calls.append("first"), sender=Writer, order=-1)
    connect(post_save, lambda **kwargs: calls.append("theirs too"))
    connect(post_save, lambda **kwargs: calls.append("last"), sender=Writer, order=1)
    connect(post_save, lambda **kwargs: calls.append("ours"), sender=Writer)
    Writer.objects.create()
    assert calls == ["first", "theirs", "theirs too", "ours", "last"]


@database
def test_receivers_of_a_base_and_of_a_model_are_called_in_one_order(connect):
    calls = []
    connect(post_save, lambda **kwargs: calls.append("model"), sender=Reprint)
    connect(post_save, lambda **kwargs: calls.append("base"), sender=Novel, subclasses=True, order=-1)
    connect(post_save, lambda **kwargs: calls.append("anybody"), order=-2)
    Reprint.objects.create()
    assert calls == ["anybody", "base", "model"]


# --- scopes -----------------------------------------------------------------------------------------------------------


@database
@pytest.mark.parametrize(
    "targets",
    [
        lambda record: mute(),
        lambda record: mute(post_save),
        lambda record: mute(record),
        lambda record: mute(Writer),
        lambda record: mute(sender=Writer),
        lambda record: mute(post_save, sender=Writer),
        lambda record: mute(post_save, record, sender=[Writer, Genre]),
    ],
    ids=["all", "the signal", "the receiver", "the model", "the sender", "signal and sender", "all three"],
)
def test_d10_mute_silences(connect, targets):
    calls = []

    def record(**kwargs):
        calls.append(kwargs)

    connect(post_save, record, sender=Writer)
    with targets(record):
        Writer.objects.create()
    assert calls == []


@database
@pytest.mark.parametrize(
    "targets",
    [
        lambda: mute(pre_save),
        lambda: mute(Genre),
        lambda: mute(pre_save, sender=Writer),
        lambda: mute(post_save, sender=Genre),
    ],
    ids=["another signal", "another model", "another signal of the sender", "another sender of the signal"],
)
def test_mute_of_something_else_does_not_silence(listen, targets):
    received = listen(post_save, sender=Writer)
    with targets():
        Writer.objects.create()
    assert len(received) == 1


@database
def test_d10_mute_is_over_after_an_exception(listen):
    received = listen(post_save, sender=Writer)
    with pytest.raises(ZeroDivisionError), mute():
        raise ZeroDivisionError
    Writer.objects.create()
    assert len(received) == 1


@database
def test_d10_mute_nests(listen):
    received = listen(post_save, sender=Writer)
    with mute(post_save):
        with mute(post_save):
            pass
        Writer.objects.create()
    Writer.objects.create()
    assert len(received) == 1


@database
def test_d10_mute_decorates_a_function(listen):
    received = listen(post_save, sender=Writer)

    @mute(post_save)
    def create():
        return Writer.objects.create()

    create()
    Writer.objects.create()
    assert len(received) == 1


@database
def test_mute_silences_what_a_deletion_sends(listen):
    received = listen(post_delete, sender=Writer)
    writer = Writer.objects.create()
    with mute(post_delete):
        writer.delete()
    assert (received, Writer.objects.count()) == ([], 0)


@database
def test_mute_silences_what_a_change_of_a_relation_sends(listen):
    received = listen(m2m_changed)
    novel, genre = Novel.objects.create(), Genre.objects.create()
    with mute(m2m_changed):
        novel.genres.add(genre)
    assert (received, list(novel.genres.all())) == ([], [genre])


@committing
async def test_d10_mute_silences_acreate(listen, async_database):
    received = listen(post_save, sender=Writer)
    with mute(post_save):
        await Writer.objects.acreate()
    await Writer.objects.acreate()
    assert len(received) == 1


@committing
async def test_mute_decorates_a_coroutine_function(listen, async_database):
    received = listen(post_save, sender=Writer)

    @mute(post_save)
    async def create():
        return await Writer.objects.acreate()

    await create()
    await Writer.objects.acreate()
    assert len(received) == 1


@committing
async def test_mute_silences_async_receivers(receive, async_database):
    calls = []

    @receive(post_save, sender=Writer)
    async def record(**kwargs):
        calls.append(kwargs)

    with mute(record):
        await Writer.objects.acreate()
    assert calls == []


@committing
async def test_d6_mute_silences_one_task_of_two(listen, async_database):
    received = listen(post_save, sender=Writer)
    muted, saved = asyncio.Event(), asyncio.Event()

    async def quietly():
        with mute(post_save):
            muted.set()
            await saved.wait()
            await Writer.objects.acreate(name="quiet")

    async def loudly():
        await muted.wait()
        await Writer.objects.acreate(name="loud")
        saved.set()

    await asyncio.gather(quietly(), loudly())
    assert [payload["instance"].name for _, payload in received] == ["loud"]


@committing
def test_d10_mute_leaves_the_saves_of_another_thread_alone(listen):
    received = listen(post_save, sender=Writer)
    with mute(post_save):
        in_a_thread(Writer.objects.create)
    assert len(received) == 1


@committing
def test_a_thread_may_mute_while_another_one_sends(listen):
    received = listen(post_save, sender=Writer)

    def quietly():
        with mute(post_save):
            Writer.objects.create()

    threads = [threading.Thread(target=in_a_thread, args=(quietly,)) for _ in range(4)]
    for thread in threads:
        thread.start()
        Writer.objects.create()
    for thread in threads:
        thread.join()
    assert len(received) == 4


@committing
async def test_d6_capture_sees_what_is_sent_in_the_thread_of_asave(async_database):
    with capture(post_save, sender=Writer) as sent:
        await Writer.objects.acreate(name="Ada")
    assert [event.kwargs["instance"].name for event in sent] == ["Ada"]


@committing
async def test_d6_capture_sees_only_its_own_task(async_database):
    async def create(name):
        with capture(post_save) as sent:
            await Writer.objects.acreate(name=name)
        return [event.kwargs["instance"].name for event in sent]

    assert await asyncio.gather(*(create(str(number)) for number in range(5))) == [[str(number)] for number in range(5)]


@committing
async def test_d6_trace_sees_the_receivers_in_the_thread_of_asave(connect, async_database):
    def record(**kwargs):
        """A receiver."""

    connect(post_save, record, sender=Writer)
    with trace() as flow:
        await Writer.objects.acreate()
    assert record in [getattr(event, "receiver", None) for event in flow.events]


@committing
async def test_d6_trace_sees_only_its_own_task(async_database):
    async def create(model):
        with trace() as flow:
            await model.objects.acreate()
        return {event.sender for event in flow.events if isinstance(event, Sent)} & {Writer, Genre}

    assert await asyncio.gather(create(Writer), create(Genre)) == [{Writer}, {Genre}]


@database
def test_trace_prints_the_tree_of_what_a_save_causes(connect):
    def create_review(instance, **kwargs):
        Review.objects.create(novel=instance)

    connect(post_save, create_review, sender=Novel)
    with trace() as flow:
        Novel.objects.create()
    here = f"{__name__}.test_trace_prints_the_tree_of_what_a_save_causes.<locals>.create_review"
    signal = "django.db.models.signals"
    assert re.sub(r" [\d.]+ ms", "", str(flow)).splitlines() == [
        "save app.Novel, 1 query",
        f"  {signal}.pre_save from app.Novel",
        f"  {signal}.post_save from app.Novel",
        f"    {here}",
        "      save app.Review, 1 query",
        f"        {signal}.pre_save from app.Review",
        f"        {signal}.post_save from app.Review",
    ]


@committing
async def test_a_request_does_not_see_what_another_one_mutes(listen, async_client, async_database, settings):
    settings.ROOT_URLCONF = "tests.helpers.urls"
    received = listen(post_save, sender=Writer)
    await asyncio.gather(*(async_client.get(f"/save{'-quietly' * (number % 2)}/?name={number}") for number in range(6)))
    assert sorted(payload["instance"].name for _, payload in received) == ["0", "2", "4"]


# --- routes -----------------------------------------------------------------------------------------------------------


@database
def test_d8_a_receiver_of_another_model_leaves_the_route_of_this_one(listen):
    listen(post_save, sender=Writer)
    Writer.objects.create()
    before = post_save._table.route(Writer)
    listen(post_save, sender=Genre)
    assert post_save._table.route(Writer) is before


@database
def test_d8_a_receiver_of_another_model_that_goes_leaves_the_route_of_this_one(listen):
    listen(post_save, sender=Writer)

    def fleeting(**kwargs):
        """A receiver."""

    post_save.connect(fleeting, sender=Genre)
    Writer.objects.create()
    before = post_save._table.route(Writer)
    post_save.disconnect(fleeting, sender=Genre)
    assert post_save._table.route(Writer) is before


@database
def test_a_receiver_of_another_signal_leaves_the_route_of_this_one(listen):
    listen(post_init, sender=Writer)
    Writer()
    before = post_init._table.route(Writer)
    listen(post_save, sender=Writer)
    assert post_init._table.route(Writer) is before


@database
def test_d8_the_receivers_of_other_models_are_not_in_the_route_of_this_one(listen):
    before = len(post_save._table.route(Writer).sync)
    for model in (Genre, Novel, Review, Reading):
        listen(post_save, sender=model)
    listen(post_save, sender=Writer)
    assert len(post_save._table.route(Writer).sync) == before + 1
