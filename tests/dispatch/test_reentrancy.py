"""A receiver that causes the send it is handling."""

import asyncio
from dataclasses import dataclass

import pytest

from heliograph.dispatch import ReentrancyError, Signal, receiver
from heliograph.dispatch.reentrancy import HandlingAll, at_work, at_work_again

saved = Signal(name="rows.saved")
saved._guards_instance = True


@dataclass(eq=False)
class Row:
    pk: int | None = None

    def save(self, using="default"):
        return saved.send(Row, instance=self, using=using)


@pytest.fixture
def calls():
    yield []
    saved.receivers = []


def test_d1_a_receiver_that_saves_the_instance_it_is_handling_runs_once(calls):
    @receiver(saved)
    def saves(instance, **kwargs):
        calls.append(instance)
        instance.save()

    row = Row()
    row.save()
    assert calls == [row]
    row.save()
    assert calls == [row, row]


def test_d1_another_copy_of_the_row_is_the_same_row(calls):
    @receiver(saved)
    def saves(instance, **kwargs):
        calls.append(instance)
        Row(pk=instance.pk).save()

    Row(pk=1).save()
    assert len(calls) == 1


def test_another_row_or_another_database_is_not_the_same(calls):
    @receiver(saved)
    def saves(instance, using, **kwargs):
        calls.append((instance.pk, using))
        if instance.pk == 1:
            Row(pk=2).save()
            Row(pk=1).save(using="other")

    Row(pk=1).save()
    assert calls == [(1, "default"), (2, "default"), (1, "other"), (2, "default")]


def test_other_receivers_receive_the_inner_send(calls):
    @receiver(saved)
    def saves(instance, **kwargs):
        instance.save()

    @receiver(saved)
    def counts(instance, **kwargs):
        calls.append(instance)

    row = Row(pk=1)
    row.save()
    assert calls == [row, row]


def test_connect_and_reentrant_allow_are_as_in_django(calls):
    def saves(instance, **kwargs):
        calls.append(instance)
        if len(calls) < 3:
            instance.save()

    saved.connect(saves)
    Row().save()
    assert len(calls) == 3
    saved.disconnect(saves)
    calls.clear()
    receiver(saved, reentrant="allow")(saves)
    Row().save()
    assert len(calls) == 3


def test_a_loop_is_reported_with_its_chain_where_the_policy_is_to_raise(calls):
    one, two = Row(pk=1), Row(pk=2)

    @receiver(saved, reentrant="raise", when=lambda instance, **kwargs: instance is one)
    def saves_two(instance, **kwargs):
        two.save()

    @receiver(saved, reentrant="raise", when=lambda instance, **kwargs: instance is two)
    def saves_one(instance, **kwargs):
        one.save()

    here = r"tests\.dispatch\.test_reentrancy\.test_a_loop_is_reported_.*<locals>\."
    message = (
        rf"^{here}saves_two was called for the instance it is handling: {here}saves_two \(Row pk=1\)"
        rf" -> {here}saves_one \(Row pk=2\) -> {here}saves_two \(Row pk=1\)\."
        r" Write under mute\(\), or connect it with reentrant='skip'\.$"
    )
    with pytest.raises(ReentrancyError, match=message):
        one.save()


def test_a_receiver_that_raises_can_be_called_again(calls):
    @receiver(saved)
    def fails(instance, **kwargs):
        calls.append(instance)
        raise ValueError("no")

    row = Row()
    for _ in range(2):
        with pytest.raises(ValueError, match=r"^no$"):
            row.save()
    assert len(calls) == 2


async def test_an_async_receiver_is_not_re_entered_either(calls):
    @receiver(saved)
    async def saves(instance, **kwargs):
        calls.append(instance)
        inner = await saved.asend(Row, instance=instance)
        assert saves not in [receiver for receiver, _ in inner]

    @receiver(saved)
    async def another(instance, **kwargs):
        await asyncio.sleep(0)

    row = Row()
    await asyncio.gather(*(saved.asend(Row, instance=row) for _ in range(2)))
    assert calls == [row, row]


def test_a_signal_without_an_instance_is_not_guarded(calls):
    plain = Signal()

    @receiver(plain, reentrant="skip")
    def sends(**kwargs):
        calls.append(1)
        if len(calls) < 3:
            plain.send(None)

    plain.send(None)
    assert len(calls) == 3


def payloads_of(*rows):
    return [{"instance": row, "using": "default"} for row in rows]


def test_a_receiver_that_handles_many_rows_is_entered_for_none_of_them(calls):
    @receiver(saved)
    def counts(instance, **kwargs):
        calls.append(instance)

    unsaved, other = Row(), Row(pk=3)
    with HandlingAll(counts, payloads_of(unsaved, Row(pk=2))):
        for row in (unsaved, Row(pk=2), other):
            row.save()

    assert calls == [other]


def test_a_receiver_that_handles_many_rows_handles_those_too_that_are_known_by_their_keys(calls):
    @receiver(saved)
    def counts(instance, **kwargs):
        calls.append(instance)

    row = ((Row, "default"), 2)
    with HandlingAll(counts, [], rows=[row]):
        (handling,) = at_work()
        assert handling.rows() == {row}
        Row(pk=2).save()

    assert calls == []


def test_a_receiver_is_at_work_again_for_a_call_that_it_has_put_off(calls):
    @receiver(saved)
    def counts(instance, **kwargs):
        calls.append(instance)

    row = Row(pk=1)
    with HandlingAll(counts, payloads_of(row)):
        before = at_work()
    with at_work_again(before), at_work_again(before):
        assert at_work() == before
        row.save()
    assert (at_work(), calls) == ((), [])

    row.save()

    assert calls == [row]
