"""The command `signals list`: what is connected to what."""

import functools
import re
from contextlib import suppress
from io import BytesIO, StringIO, TextIOWrapper

import pytest
from django.core.management import CommandError, call_command
from django.dispatch import Signal

from heliograph import BeforeCommit, changed, created, raw
from heliograph.signals import post_save, pre_save, user_login_failed
from tests.app.models import Novel, Writer

book_read = Signal()
LINE = re.compile(r"  (?P<receiver>\S+)  +(?P<place>\S+)  +(?P<rest>.*)")


class Recorder:
    def record(self, **kwargs):
        """A receiver that is a method."""

    def __call__(self, **kwargs):
        """A receiver that is an object."""


def first(**kwargs):
    """A receiver."""


def second(**kwargs):
    """Another one."""


async def later(**kwargs):
    """A receiver that is async."""


def is_paid(paid=False, **kwargs):
    return paid


def listing(*arguments):
    out = StringIO()
    call_command("signals", "list", *arguments, stdout=out)
    return out.getvalue().splitlines()


def rows():
    """Return what is said of each receiver of `book_read`: its name, its place, and the rest."""
    return [LINE.fullmatch(line).groups() for line in listing(f"{__name__}.book_read")[1:]]


def test_a_signal_is_listed_by_its_name(connect):
    connect(book_read, first)
    assert listing("book_read")[0] == f"{__name__}.book_read"


def test_a_signal_of_django_is_listed_by_the_name_of_its_module(listen):
    listen(post_save, sender=Writer)
    assert "django.db.models.signals.post_save" in listing()


def test_a_receiver_is_listed_with_its_module(connect):
    connect(book_read, first)
    assert rows()[0][0] == f"{__name__}.first"


def test_a_receiver_is_listed_with_file_and_line(connect):
    connect(book_read, first)
    assert rows()[0][1] == f"tests/flow/test_signals_command.py:{first.__code__.co_firstlineno}"


def test_a_receiver_of_anybody_is_listed_as_one(connect):
    connect(book_read, first)
    assert rows()[0][2] == "any sender"


def test_a_model_is_listed_by_its_label(connect):
    connect(book_read, first, sender=Writer)
    assert rows()[0][2] == "app.Writer"


def test_another_class_is_listed_with_its_module(connect):
    connect(book_read, first, sender=Recorder)
    assert rows()[0][2] == f"{__name__}.Recorder"


def test_a_sender_that_is_a_value_is_listed_as_it_is_written(connect):
    connect(book_read, first, sender="by hand")
    assert rows()[0][2] == "'by hand'"


def test_a_receiver_of_subclasses_says_so(connect):
    connect(book_read, first, sender=Novel, subclasses=True)
    assert rows()[0][2] == "app.Novel and subclasses"


def test_each_sender_of_a_list_has_a_line(connect):
    connect(book_read, first, sender=[Writer, Novel])
    assert [rest for *_, rest in rows()] == ["app.Writer", "app.Novel"]


def test_receivers_are_listed_in_the_order_of_their_calls(connect):
    connect(book_read, first)
    connect(book_read, second, order=-1)
    assert [name.rpartition(".")[2] for name, *_ in rows()] == ["second", "first"]


def test_an_order_is_listed(connect):
    connect(book_read, first, order=-1)
    assert rows()[0][2] == "any sender  order=-1"


def test_a_condition_is_listed(connect):
    connect(book_read, first, when=is_paid)
    assert rows()[0][2] == "any sender  when=is_paid"


def test_re_entrance_is_listed_where_it_is_not_djangos(connect):
    connect(book_read, first, reentrant="raise")
    assert rows()[0][2] == "any sender  reentrant=raise"


def test_an_async_receiver_says_so(connect):
    connect(book_read, later)
    assert rows()[0][2] == "any sender  async"


def test_a_receiver_that_promises_not_to_block_says_so(connect):
    connect(book_read, first, blocking=False)
    assert rows()[0][2] == "any sender  non-blocking"


def test_options_are_listed_beside_each_other(connect):
    connect(book_read, later, order=2, when=is_paid)
    assert rows()[0][2] == "any sender  order=2, async, when=is_paid"


def test_what_a_receiver_of_a_save_asks_for_is_listed(receive):
    @receive(pre_save, sender=Writer, when=created | changed("name", to="Ada"), fetch=True, writes=["name"])
    def asks(changes, **kwargs):
        """A receiver that asks what changed, and writes."""

    asked = "when=created | changed('name', to='Ada'), changes, fetch=True, writes=['name'], reentrant=skip"
    assert any(line.endswith(f"app.Writer  {asked}") for line in listing("pre_save"))


def test_options_that_are_kept_as_conditions_are_listed_as_they_were_written(receive):
    @receive(post_save, sender=Writer, when=created | changed("name"), using="default", bulk=True)
    def asks(**kwargs):
        """A receiver of one database, of bulk writes too."""

    (line,) = [line for line in listing("post_save") if "asks" in line]
    assert line.endswith("app.Writer  bulk=True, using='default', when=created | changed('name'), reentrant=skip")


def test_a_receiver_of_all_models_is_listed_without_the_condition_that_leaves_migrations_out(receive):
    @receive(post_save)
    def asks(**kwargs):
        """A receiver of all models."""

    (line,) = [line for line in listing("post_save") if "asks" in line]
    assert line.endswith("any sender  reentrant=skip")


def test_a_condition_of_several_parts_is_listed_as_one(receive):
    @receive(post_save, sender=Writer, when=(created | changed("name")) & ~raw, delivery=BeforeCommit())
    def asks(**kwargs):
        """A receiver with a policy that adds a condition of its own."""

    (line,) = [line for line in listing("post_save") if "asks" in line]
    assert "when=(created | changed('name')) & ~raw" in line


@pytest.mark.parametrize("part", ["test_signals_command.first", "app.Writer"])
def test_receivers_can_be_asked_for_by_their_name_and_by_their_sender(connect, part):
    connect(book_read, first, sender=Writer)
    connect(book_read, second, sender=Novel)
    assert [line.split()[0] for line in listing(part) if f"  {__name__}." in line] == [f"{__name__}.first"]


def test_a_method_is_listed_with_its_class(connect):
    recorder = Recorder()
    connect(book_read, recorder.record)
    assert rows()[0][0] == f"{__name__}.Recorder.record"


def test_an_object_is_listed_with_its_class(connect):
    connect(book_read, Recorder())
    assert rows()[0][0] == f"{__name__}.Recorder.__call__"


def test_an_object_is_listed_with_the_line_of_its_call(connect):
    connect(book_read, Recorder())
    assert rows()[0][1] == f"tests/flow/test_signals_command.py:{Recorder.__call__.__code__.co_firstlineno}"


def test_a_partial_is_listed_with_its_function(connect):
    connect(book_read, functools.partial(first, price=3))
    assert rows()[0][0] == f"partial({__name__}.first)"


def test_a_decorated_receiver_is_listed_with_the_line_of_its_function(connect):
    @functools.wraps(first)
    def decorated(**kwargs):
        return first(**kwargs)

    connect(book_read, decorated)
    assert rows()[0][1] == f"tests/flow/test_signals_command.py:{first.__code__.co_firstlineno}"


def test_a_receiver_in_c_has_no_line(connect):
    found = {}
    connect(book_read, found.update)
    assert rows()[0][1] == "-"


def test_only_signals_that_were_asked_for_are_listed(connect):
    connect(book_read, first)
    assert not any("post_save" in line for line in listing("book_read"))


def test_several_signals_can_be_asked_for(connect):
    connect(book_read, first)
    connect(user_login_failed, first)
    assert [line for line in listing("book_read", "user_login_failed") if not line.startswith(" ")] == [
        "django.contrib.auth.signals.user_login_failed",
        f"{__name__}.book_read",
    ]


def test_a_signal_without_receivers_is_not_listed():
    assert f"{__name__}.book_read" not in listing()


def test_a_signal_without_receivers_is_listed_where_all_are_asked_for():
    assert listing("book_read", "--all") == [f"{__name__}.book_read"]


def test_a_signal_that_nobody_receives_is_reported():
    assert listing("book_read") == ["No signal, receiver or sender has such a name."]


def test_a_signal_that_does_not_exist_is_reported():
    assert listing("book_red") == ["No signal, receiver or sender has such a name."]


def test_the_dead_are_not_listed():
    def fleeting(**kwargs):
        """A receiver."""

    book_read.connect(fleeting)
    del fleeting
    assert listing("book_read") == ["No signal, receiver or sender has such a name."]


def test_a_verb_must_be_given():
    with pytest.raises(CommandError, match=r"the following arguments are required: VERB"):
        call_command("signals")


def test_a_verb_that_does_not_exist_is_refused():
    with pytest.raises(CommandError, match=r"invalid choice: 'show'"):
        call_command("signals", "show")


def test_the_columns_are_aligned(connect):
    connect(book_read, first)
    connect(book_read, Recorder())
    lines = listing("book_read")[1:]
    assert len({line.index(" tests/") for line in lines}) == 1


def test_the_receivers_of_django_itself_are_listed():
    assert any("django.db.close_old_connections" in line for line in listing("request_started"))


@pytest.mark.django_db(databases="__all__")
@pytest.mark.parametrize(
    "arguments", [("signals", "patches"), ("recipes", "list"), ("outbox", "status"), ("audit", "verify")], ids=" ".join
)
def test_each_command_escapes_what_its_output_cannot_encode_and_leaves_the_stream_as_it_was(arguments):
    written = []

    class Ascii(TextIOWrapper):
        def write(self, text):
            written.append(self.errors)
            return super().write(text)

    out = Ascii(BytesIO(), encoding="ascii")
    with suppress(SystemExit):
        call_command(*arguments, stdout=out)

    assert {*written} == {"backslashreplace"}
    assert out.errors == "strict"
