"""Conditions: values that decide whether a receiver is called."""

import pytest

from heliograph.dispatch import Condition, Signal, condition


def is_big(value, **kwargs):
    return value > 10


def is_even(value, **kwargs):
    return value % 2 == 0


def value_of(value, **kwargs):
    return value


big, even = condition(is_big), condition(is_even)


@pytest.mark.parametrize(
    ("asked", "holding"),
    [
        pytest.param(big, [11, 12], id="itself"),
        pytest.param(~big, [9, 10], id="not"),
        pytest.param(big & even, [12], id="and"),
        pytest.param(big | even, [10, 11, 12], id="or"),
        pytest.param(~(big | even), [9], id="neither"),
        pytest.param(big & ~even, [11], id="and not"),
        pytest.param(big & is_even, [12], id="and a function"),
        pytest.param(big | is_even, [10, 11, 12], id="or a function"),
    ],
)
def test_conditions_combine(asked, holding):
    assert [value for value in range(9, 13) if asked.holds({"value": value})] == holding


@pytest.mark.parametrize(
    "text",
    ["is_big", "~is_big", "is_big & is_even", "is_big | is_even", "~(is_big | is_even)", "(is_big | is_even) & is_big"],
)
def test_d13_conditions_print_as_they_were_written(text):
    assert repr(eval(text, {"is_big": big, "is_even": even})) == text


def test_conditions_are_equal_by_value():
    assert condition(is_big) == big
    assert hash(big & even) == hash(condition(is_big) & is_even)
    assert big & even != even & big


@pytest.mark.parametrize(
    "combine",
    [
        pytest.param(lambda: big and even, id="and"),
        pytest.param(lambda: big or even, id="or"),
        pytest.param(lambda: not big, id="not"),
        pytest.param(lambda: even if big else big, id="if"),
        pytest.param(lambda: big.__bool__() > 1, id="bool"),
    ],
)
def test_and_or_and_not_drop_no_condition_in_silence(combine):
    message = (
        r"^is_big has no truth value: it is asked at each send\."
        r" Combine conditions with &, \| and ~, not with 'and', 'or' and 'not'\.$"
    )
    with pytest.raises(TypeError, match=message):
        combine()


@pytest.mark.parametrize("asked", [big & even, big | even, ~big], ids=repr)
def test_a_combination_of_conditions_has_no_truth_value_either(asked):
    with pytest.raises(TypeError, match="has no truth value"):
        bool(asked)


def test_a_condition_of_the_users_needs_to_hold():
    class Mine(Condition):
        pass

    with pytest.raises(NotImplementedError, match=r"^Mine must define holds\(payload\)\.$"):
        Mine().holds({})


def test_a_condition_of_the_users_needs_nothing_but_to_hold():
    class Mine(Condition):
        def holds(self, payload):
            return payload["value"] > 10

    signal = Signal()
    signal.connect(value_of, when=Mine())
    assert [len(signal.send(None, value=value)) for value in (9, 11)] == [0, 1]


def test_a_condition_without_an_answer_is_refused_where_it_is_connected():
    class Mine(Condition):
        pass

    with pytest.raises(NotImplementedError, match=r"^Mine must define holds\(payload\)\.$"):
        Signal().connect(value_of, when=Mine())


def test_a_receiver_is_called_where_its_condition_holds():
    signal, got = Signal(), []

    def receiver(value, **kwargs):
        got.append(value)

    signal.connect(receiver, when=big & even)
    assert [len(signal.send(None, value=value)) for value in (9, 11, 12)] == [0, 0, 1]
    assert got == [12]


async def test_an_async_receiver_is_called_where_its_condition_holds():
    signal = Signal()

    async def receiver(value, **kwargs):
        return value

    signal.connect(receiver, when=is_big)
    assert await signal.asend(None, value=9) == []
    assert await signal.asend(None, value=11) == [(receiver, 11)]


def test_a_condition_sees_sender_and_signal():
    signal, seen = Signal(), []
    receiver = lambda **kwargs: None  # noqa: E731

    signal.connect(receiver, when=lambda sender, signal, **kwargs: seen.append((sender, signal)))
    signal.send("text")
    assert seen == [("text", signal)]


def test_a_condition_that_raises_is_an_exception_of_the_receiver():
    signal = Signal()

    def receiver(**kwargs):
        pass

    signal.connect(receiver, when=is_big)
    with pytest.raises(TypeError, match="missing 1 required"):
        signal.send(None)
    ((failed, error),) = signal.send_robust(None)
    assert failed is receiver
    assert isinstance(error, TypeError)
