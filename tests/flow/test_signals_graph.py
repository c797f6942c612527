"""`signals graph`: the edges of what is connected and of what has happened, as Mermaid, DOT and JSON."""

import json
import types

import pytest
from django.core.management import CommandError
from django.db.models import Count

from heliograph import BeforeCommit, OnCommit, Signal, trace
from heliograph.dispatch.options import WritesRows
from heliograph.recipes import keep
from heliograph.recipes.declarations import declarations
from heliograph.signals import post_delete, post_save, pre_save
from tests.app.models import Article, Cart, Item, Novel, Shopper, Writer
from tests.helpers.graph_languages import of_dot, of_mermaid
from tests.helpers.signals_command import signals

book_opened = Signal(name="reading.book_opened")


def total(**kwargs):
    """A receiver."""


def greet(**kwargs):
    """Another one."""


def name_of(function):
    return f"{__name__}.{function.__name__}"


@pytest.fixture
def undeclared():
    """Disconnect what the test has declared."""
    yield
    for one in declarations[:]:
        one.disconnect()


PARSERS = {"mermaid": of_mermaid, "dot": of_dot}


def parsed(*arguments, format="mermaid"):
    return PARSERS[format](signals("graph", "--format", format, *arguments).out)


# --- what is connected ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", PARSERS)
def test_a_send_calls_a_receiver(connect, format):
    connect(post_save, total, sender=Writer)
    edges = parsed("--receiver", name_of(total), format=format).edges
    assert edges == {("post_save app.Writer", "calls", name_of(total))}


def test_a_receiver_of_two_senders_is_one_node(connect):
    connect(post_save, total, sender=[Writer, Novel])
    found = parsed("--receiver", name_of(total))
    assert found.nodes == {"post_save app.Writer", "post_save app.Novel", name_of(total)}


def test_an_own_signal_has_its_whole_name(connect):
    connect(book_opened, total)
    assert parsed("book_opened").edges == {("reading.book_opened any sender", "calls", name_of(total))}


@pytest.mark.parametrize("format", PARSERS)
@pytest.mark.parametrize("sender", ['a "quoted" one', "<b>#1</b>", "`ticks`", "back\\slash", "two\nlines"])
def test_a_name_may_have_any_character(connect, format, sender):
    connect(book_opened, total, sender=sender)
    found = parsed("book_opened", format=format)
    assert f"reading.book_opened {sender!r}" in found.nodes


def test_a_receiver_sets_fields_of_the_row(receive):
    @receive(pre_save, sender=Article, writes=["slug"])
    def slugify(**kwargs):
        """A receiver."""

    found = parsed("--receiver", "slugify")
    assert {(label, target) for _, label, target in found.edges if label != "calls"} == {("sets", "app.Article")}
    assert found.marked == set()


@pytest.mark.usefixtures("undeclared")
def test_a_recipe_writes_the_rows_of_its_fields():
    keep(Cart, items_count=Count("items"))
    assert ("keep(app.Cart.items_count)", "writes", "app.Cart") in parsed("keep(").edges


@pytest.mark.usefixtures("undeclared")
def test_rows_that_a_recipe_writes_cause_calls_of_receivers_of_bulk_writes(receive):
    keep(Cart, items_count=Count("items"))

    @receive(post_save, sender=Cart, bulk=True)
    def of_bulk(**kwargs):
        """A receiver that UPDATE reaches."""

    @receive(post_save, sender=Cart)
    def of_saves(**kwargs):
        """A receiver that UPDATE does not reach, on the same send."""

    @receive(post_delete, sender=Cart, bulk=True)
    def of_deletions(**kwargs):
        """A receiver of deletions, which are none of the recipe's writes."""

    @receive(pre_save, sender=Cart)
    def before_saves(**kwargs):
        """A receiver of another send that UPDATE does not reach."""

    edges = parsed().edges
    assert ("app.Cart", "causes", "post_save app.Cart") in edges
    caused = {target for source, label, target in edges if (source, label) == ("app.Cart", "causes")}
    assert not caused & {"pre_save app.Cart", "post_delete app.Cart"}


@pytest.mark.parametrize("format", PARSERS)
def test_receivers_that_write_each_others_models_are_marked_as_a_cycle(connect, format):
    connect(post_save, total, sender=Cart, bulk=True, facts=(WritesRows(("app.Item",)),))
    connect(post_save, greet, sender=Item, bulk=True, facts=(WritesRows(("app.Cart",)),))
    carts, items = "post_save app.Cart", "post_save app.Item"
    found = parsed("--receiver", __name__, format=format)
    assert found.marked == {
        (carts, name_of(total)),
        (name_of(total), "app.Item"),
        ("app.Item", items),
        (items, name_of(greet)),
        (name_of(greet), "app.Cart"),
        ("app.Cart", carts),
    }
    cycle = signals("graph", "--receiver", __name__).err.splitlines()[-1]
    assert cycle == f"Cycle: app.Cart, app.Item, {name_of(greet)}, {name_of(total)}, {carts}, {items}."


def test_the_json_of_a_graph_has_nodes_edges_and_cycles(connect):
    connect(post_save, total, sender=Writer)
    assert json.loads(signals("graph", "--format", "json", "--receiver", name_of(total)).out) == {
        "version": 1,
        "nodes": [
            {"id": "n1", "kind": "receiver", "name": name_of(total)},
            {"id": "n2", "kind": "send", "name": "django.db.models.signals.post_save", "sender": "app.Writer"},
        ],
        "edges": [{"from": "n2", "to": "n1", "relation": "calls", "count": 1, "in_cycle": False}],
        "cycles": [],
    }


# --- what is printed beside the graph ---------------------------------------------------------------------------------


def test_how_much_is_shown_is_printed_beside_the_graph(connect):
    connect(post_save, total, sender=Writer)
    there_are = len(json.loads(signals("list", "--json").out)["receivers"])
    assert signals("graph", "--receiver", name_of(total)).err == (
        f"Shown: 1 of {there_are} calls, as 2 nodes and 1 edges."
    )


def test_filters_that_match_nothing_say_so_beside_an_empty_graph(connect):
    connect(post_save, total, sender=Writer)
    printed = signals("graph", "--receiver", "totl")
    assert printed.out == "flowchart LR"
    assert printed.err.startswith("No receiver matches --receiver totl. Did you mean total")


def many(count):
    """Return receivers with names of their own."""
    return [types.FunctionType(total.__code__, globals(), f"receiver_{number}") for number in range(count)]


def test_v6_a_graph_of_a_thousand_receivers_is_made_readable_by_a_filter(connect):
    for number, receiver in enumerate(many(1000)):
        receiver.__qualname__ = receiver.__name__
        connect(post_save, receiver, sender=[Writer, Novel, Article, Shopper][number % 4] if number > 20 else Cart)
    whole, part = signals("graph"), signals("graph", "--model", "app.Cart")
    assert "More than 60 nodes are hard to read: add --app, --model, --signal or --receiver, such as --app app" in (
        whole.err
    )
    assert len(of_mermaid(whole.out).nodes) > 1000
    assert len(of_mermaid(part.out).nodes) < 60
    assert "hard to read" not in part.err


# --- what has happened ----------------------------------------------------------------------------------------


@pytest.fixture
def recorded(tmp_path):
    """Write a recording into a file: `recorded(flow)` is its path."""

    def write(flow, name="flow.json"):
        path = tmp_path / name
        path.write_text(flow.to_json())
        return path

    return write


@pytest.mark.django_db(transaction=True)
def test_a_recording_shows_what_receivers_have_saved(receive, recorded):
    @receive(post_save, sender=Writer)
    def write_novel(instance, **kwargs):
        Novel.objects.create(name=instance.name)

    @receive(post_save, sender=Novel)
    def praise(**kwargs):
        """A receiver."""

    with trace() as flow:
        Writer.objects.create(name="Ada")
    writing, praising = (f"{__name__}.{one.__qualname__}" for one in (write_novel, praise))
    assert parsed("--from", recorded(flow)).edges == {
        ("app.Writer", "causes", "post_save app.Writer"),
        ("post_save app.Writer", "calls", writing),
        (writing, "writes", "app.Novel"),
        ("app.Novel", "causes", "post_save app.Novel"),
        ("post_save app.Novel", "calls", praising),
    }


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("format", PARSERS)
def test_a_cycle_that_has_happened_is_marked(receive, recorded, format):
    @receive(post_save, sender=Writer)
    def write_novel(instance, **kwargs):
        if instance.name != "Ada!":
            Novel.objects.create(name=instance.name)

    @receive(post_save, sender=Novel)
    def praise(instance, **kwargs):
        Writer.objects.create(name=f"{instance.name}!")

    with trace() as flow:
        Writer.objects.create(name="Ada")
    path = recorded(flow)
    found = parsed("--from", path, format=format)
    assert found.marked == {(source, target) for source, _, target in found.edges}
    assert len(found.marked) == 6
    assert "Cycle: app.Novel, app.Writer, " in signals("graph", "--from", path).err


@pytest.mark.django_db(transaction=True)
def test_what_happened_more_than_once_is_counted(receive, recorded):
    @receive(post_save, sender=Writer)
    def praise(**kwargs):
        """A receiver."""

    flows = []
    for name in ("Ada", "Bob"):
        with trace() as flow:
            Writer.objects.create(name=name)
        flows.append(recorded(flow, f"{name}.json"))
    assert parsed("--from", *flows).edges == {
        ("app.Writer", "causes 2 x", "post_save app.Writer"),
        ("post_save app.Writer", "calls 2 x", f"{__name__}.{praise.__qualname__}"),
    }


@pytest.mark.django_db(transaction=True)
def test_a_call_that_was_put_off_is_one_call(receive, recorded):
    @receive(post_save, sender=Writer, delivery=OnCommit())
    def praise(**kwargs):
        """A receiver."""

    with trace() as flow:
        Writer.objects.create(name="Ada")
    assert parsed("--from", recorded(flow)).edges == {
        ("app.Writer", "causes", "post_save app.Writer"),
        ("post_save app.Writer", "calls", f"{__name__}.{praise.__qualname__}"),
    }


def test_a_receiver_that_was_not_called_is_not_in_the_graph(receive, recorded):
    @receive(book_opened, when=lambda **kwargs: False)
    def never(**kwargs):
        """A receiver."""

    @receive(book_opened)
    def always(**kwargs):
        """Another one."""

    with trace() as flow:
        book_opened.send(sender=None)
    name = f"{__name__}.{always.__qualname__}"
    assert parsed("--from", recorded(flow)).edges == {("reading.book_opened None", "calls", name)}


def test_a_send_that_has_called_nobody_is_not_in_the_graph(connect, recorded):
    connect(book_opened, total, when=lambda **kwargs: False)
    with trace() as flow:
        book_opened.send(sender=None)
    assert parsed("--from", recorded(flow)).edges == set()


@pytest.mark.django_db(transaction=True)
def test_a_batch_that_a_receiver_has_caused_without_a_send_is_in_the_graph(receive, recorded):
    @receive(post_save, sender=Writer, bulk=True, delivery=BeforeCommit(batch=True))
    def count(batch, **kwargs):
        """A receiver of rows, for which a bulk write sends nothing by itself."""

    @receive(book_opened)
    def write(**kwargs):
        Writer.objects.bulk_create([Writer(name="Ada")])

    with trace() as flow:
        book_opened.send(sender=None)
    writing, counting = (f"{__name__}.{one.__qualname__}" for one in (write, count))
    assert (writing, "causes", counting) in parsed("--from", recorded(flow)).edges


@pytest.mark.django_db(transaction=True)
def test_a_recording_is_filtered_as_the_registry_is(receive, recorded):
    @receive(post_save, sender=[Writer, Novel])
    def praise(**kwargs):
        """A receiver."""

    with trace() as flow:
        Writer.objects.create(name="Ada")
        Novel.objects.create(name="Sums")
    path, name = recorded(flow), f"{__name__}.{praise.__qualname__}"
    of_writer = {("app.Writer", "causes", "post_save app.Writer"), ("post_save app.Writer", "calls", name)}
    assert parsed("--model", "Writer", "--from", path).edges == of_writer
    assert len(parsed("--app", "app", "--from", path).edges) == 4
    assert "No receiver matches --model Cart." in signals("graph", "--model", "Cart", "--from", path).err


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[]", "it is no recording, as trace().to_json() returns it."),
        ('{"version": 9, "nodes": []}', "it has version 9, and this release reads version 1."),
        ("no JSON", "Expecting value"),
    ],
)
def test_a_file_that_is_no_recording_is_refused(tmp_path, text, problem):
    path = tmp_path / "flow.json"
    path.write_text(text)
    with pytest.raises(CommandError) as refused:
        signals("graph", "--from", path)
    assert str(refused.value).startswith(f"{path} cannot be read: {problem}")
