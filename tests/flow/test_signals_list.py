"""The filters of `signals list`, its suggestions, and its JSON."""

import json
import sys
import types

import pytest
from django.dispatch import Signal

from heliograph import OnCommit, changed, created
from heliograph.audit import audit
from heliograph.flow.connected_receivers import stable
from heliograph.recipes import ensure_related, search_index
from heliograph.signals import m2m_changed, post_save, pre_save, request_started
from tests.app.models import Article, Band, CartFigures, Draft, Novel, Post, Song, Writer
from tests.helpers.signals_command import signals

page_turned = Signal()


def send_mail(**kwargs):
    """A receiver."""


def send_mail_to_all(**kwargs):
    """A receiver whose name begins like that of the other."""


def shown(*filters):
    """Return the names of this module's receivers in the listing."""
    return [line.split()[0].rpartition(".")[2] for line in signals("list", *filters).lines if f"  {__name__}." in line]


# --- filters ----------------------------------------------------------------------------------------------------


def test_a_filter_by_signal_leaves_other_signals_out(connect):
    connect(post_save, send_mail, sender=Writer)
    connect(pre_save, send_mail_to_all, sender=Writer)
    assert shown("--signal", "post_save") == ["send_mail"]


def test_a_filter_by_signal_takes_the_name_with_its_module(connect):
    connect(post_save, send_mail, sender=Writer)
    connect(page_turned, send_mail_to_all)
    assert shown("--signal", f"{__name__}.page_turned") == ["send_mail_to_all"]


def test_a_filter_by_receiver_takes_whole_words(connect):
    connect(page_turned, send_mail)
    connect(page_turned, send_mail_to_all)
    assert shown("--receiver", "send_mail") == ["send_mail"]


def test_a_filter_by_receiver_takes_a_module(connect):
    connect(page_turned, send_mail)
    connect(page_turned, send_mail_to_all)
    assert shown("--receiver", __name__) == ["send_mail", "send_mail_to_all"]


def test_a_filter_by_model_shows_the_receivers_of_this_model(connect):
    connect(post_save, send_mail, sender=Writer)
    connect(post_save, send_mail_to_all, sender=Novel)
    assert shown("--model", "app.Writer") == ["send_mail"]


@pytest.mark.parametrize("label", ["app.writer", "Writer", "writer"])
def test_a_model_may_be_named_in_any_case_and_without_its_app(connect, label):
    connect(post_save, send_mail, sender=Writer)
    connect(post_save, send_mail_to_all, sender=Novel)
    assert shown("--model", label) == ["send_mail"]


def test_a_filter_by_model_shows_receivers_of_all_models(connect):
    connect(post_save, send_mail)
    assert shown("--model", "app.Writer") == ["send_mail"]


def test_a_filter_by_model_shows_receivers_of_its_parents_with_subclasses(connect):
    connect(post_save, send_mail, sender=Post, subclasses=True)
    connect(post_save, send_mail_to_all, sender=Post)
    assert shown("--model", "app.Draft") == ["send_mail"]
    assert issubclass(Draft, Post)


def test_a_filter_by_model_shows_receivers_of_its_relations(connect):
    connect(m2m_changed, send_mail, sender=Band.hidden.through)
    connect(m2m_changed, send_mail_to_all, sender=Song)
    assert shown("--model", "app.Band") == ["send_mail"]


def test_a_filter_by_model_leaves_out_receivers_of_signals_that_no_model_sends(connect):
    connect(request_started, send_mail)
    assert shown("--model", "app.Writer") == []


def test_a_filter_by_app_shows_receivers_of_its_models(connect):
    connect(post_save, send_mail, sender=Writer)
    connect(page_turned, send_mail_to_all)
    assert shown("--app", "app") == ["send_mail"]


def test_a_filter_by_app_shows_the_receivers_that_are_written_in_it():
    assert any("create_contenttypes" in line for line in signals("list", "--app", "contenttypes").lines)


def test_a_filter_by_app_shows_receivers_of_its_signals(connect):
    connect(post_save, send_mail, sender=Writer)
    assert any("update_last_login" in line for line in signals("list", "--app", "auth").lines)
    assert shown("--app", "auth") == []


def test_filters_of_several_kinds_must_all_match(connect):
    connect(post_save, send_mail, sender=Writer)
    connect(pre_save, send_mail, sender=Writer)
    connect(post_save, send_mail_to_all, sender=Novel)
    assert shown("--signal", "post_save", "--model", "Writer") == ["send_mail"]


def test_one_of_several_filters_of_a_kind_must_match(connect):
    connect(post_save, send_mail, sender=Writer)
    connect(post_save, send_mail_to_all, sender=Novel)
    assert shown("--model", "Writer", "--model", "Novel") == ["send_mail", "send_mail_to_all"]


def test_a_part_and_a_filter_must_both_match(connect):
    connect(post_save, send_mail, sender=Writer)
    connect(pre_save, send_mail_to_all, sender=Writer)
    assert shown("app.Writer", "--signal", "pre_save") == ["send_mail_to_all"]


@pytest.mark.parametrize("part", ["app.Article.slug", "Article.slug"])
def test_a_part_is_found_in_the_fields_that_a_receiver_writes(receive, part):
    @receive(pre_save, sender=Article, writes=["slug"])
    def normalize(**kwargs):
        """A receiver that sets a field of the row."""

    @receive(pre_save, sender=Article, writes=["title"])
    def capitalize(**kwargs):
        """A receiver that sets another one."""

    assert [one["receiver"].rpartition(".")[2] for one in documents(part)["receivers"]] == ["normalize"]


@pytest.mark.parametrize(
    "filters", [("page_turned",), ("--signal", "page_turned"), ("page", "--signal", "page_turned")]
)
def test_a_signal_without_receivers_is_listed_if_the_filters_are_about_its_name(filters):
    assert signals("list", "--all", *filters).lines == [f"{__name__}.page_turned"]


def test_signals_without_receivers_are_not_listed_where_a_filter_asks_for_receivers(connect):
    connect(post_save, send_mail, sender=Writer)
    listed = signals("list", "--all", "--receiver", f"{__name__}.send_mail").lines
    assert listed[0] == "django.db.models.signals.post_save"
    assert len(listed) == 2


def test_two_signals_of_one_name_are_listed_apart(connect):
    one, other = Signal(), Signal()
    one.name = other.name = "twice"
    connect(one, send_mail)
    connect(other, send_mail_to_all)
    assert [line.split()[0].rpartition(".")[2] for line in signals("list", "twice").lines] == [
        *("twice", "send_mail"),
        *("twice", "send_mail_to_all"),
    ]


# --- suggestions ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("filters", "text"),
    [
        (("--signal", "pst_save"), "No receiver matches --signal pst_save. Did you mean post_save"),
        (("--model", "Writr"), "No receiver matches --model Writr. Did you mean Writer or app.Writer?"),
        (("--app", "ap"), "No receiver matches --app ap. Did you mean app?"),
        (("--receiver", "send_male"), "No receiver matches --receiver send_male. Did you mean send_mail"),
        (("app.Writr",), "No signal, receiver or sender has such a name. Did you mean app.Writer?"),
    ],
)
def test_a_name_near_the_one_that_matches_nothing_is_suggested(connect, filters, text):
    connect(post_save, send_mail, sender=Writer)
    assert signals("list", *filters).out.startswith(text)


def test_a_name_that_is_near_to_nothing_has_no_suggestion():
    assert signals("list", "--receiver", "qqq").out == "No receiver matches --receiver qqq."


def test_filters_that_match_nothing_together_say_so(connect):
    connect(post_save, send_mail, sender=Writer)
    assert signals("list", "--model", "Writer", "--receiver", "send_mail", "--signal", "request_started").out == (
        "Each of the filters matches receivers, and no receiver matches all of them."
    )


# --- JSON -------------------------------------------------------------------------------------------------------


def documents(*filters):
    return json.loads(signals("list", "--json", *filters).out)


def test_the_json_of_a_receiver_has_its_signal_sender_options_and_source(receive):
    @receive(post_save, sender=Writer, when=created | changed("name"), delivery=OnCommit(), order=2)
    def greet(instance, changes, **kwargs):
        """A receiver."""

    assert documents("--receiver", "greet") == {
        "version": 1,
        "receivers": [
            {
                "signal": "django.db.models.signals.post_save",
                "sender": "app.Writer",
                "receiver": f"{__name__}.{greet.__qualname__}",
                "options": {
                    "order": "2",
                    "when": "created | changed('name')",
                    "delivery": "OnCommit()",
                    "changes": True,
                    "reentrant": "skip",
                },
                "writes": [],
                "file": __file__,
                "line": greet.__code__.co_firstlineno,
            }
        ],
    }


def test_the_json_of_nothing_is_a_document_too():
    assert documents("--receiver", "qqq") == {"version": 1, "receivers": []}


def test_each_receiver_is_a_line_of_the_json(connect):
    connect(page_turned, send_mail)
    connect(page_turned, send_mail_to_all)
    lines = signals("list", "--json", "--signal", "page_turned").lines
    assert [json.loads(line.rstrip(","))["receiver"].rpartition(".")[2] for line in lines[1:-1]] == [
        "send_mail",
        "send_mail_to_all",
    ]


def test_the_json_has_the_models_that_a_receiver_is_known_to_write(receive):
    @receive(pre_save, sender=Article, writes=["slug"])
    def slugify(**kwargs):
        """A receiver that sets a field of the row."""

    assert documents("--receiver", "slugify")["receivers"][0]["writes"] == ["app.Article"]


def test_the_json_has_the_models_that_a_recipe_writes():
    declaration = ensure_related(CartFigures, to="cart")
    try:
        assert [one["writes"] for one in documents("ensure_related")["receivers"]] == [["app.CartFigures"]]
    finally:
        declaration.disconnect()


def test_a_recipe_is_listed_with_the_line_of_its_declaration():
    declaration = ensure_related(CartFigures, to="cart")
    try:
        (line,) = (line for line in signals("list", "--model", "app.Cart").lines if "ensure_related(" in line)
        (record,) = documents("ensure_related")["receivers"]
    finally:
        declaration.disconnect()
    number = declaration.line.rpartition(":")[2]
    assert f"  tests/flow/test_signals_list.py:{number}  " in line
    assert (record["file"], record["line"]) == (__file__, int(number))


def test_the_json_has_no_models_of_a_recipe_that_writes_an_index_elsewhere():
    declaration = search_index(Article, fields=["slug"])
    try:
        assert {tuple(one["writes"]) for one in documents("search_index")["receivers"]} == {()}
    finally:
        declaration.disconnect()


def test_the_json_has_no_models_of_a_recipe_that_was_disconnected(receive):
    declaration = ensure_related(CartFigures, to="cart")
    declaration.disconnect()
    assert documents("ensure_related")["receivers"] == []


def test_the_json_has_the_entries_of_the_audit_log():
    declaration = audit(Article)
    try:
        assert {tuple(one["writes"]) for one in documents("audit(app.Article)")["receivers"]} == {
            ("heliograph_audit.Entry",)
        }
    finally:
        declaration.disconnect()


# --- work -----------------------------------------------------------------------------------------------------


def calls_made(function):
    """Return how many functions of Python a call has called."""
    count = 0

    def count_calls(frame, event, argument):
        nonlocal count
        count += event == "call"

    sys.setprofile(count_calls)
    try:
        function()
    finally:
        sys.setprofile(None)
    return count


def named(number):
    """Return a receiver with a name of its own."""
    receiver = types.FunctionType(send_mail.__code__, globals(), f"receiver_{number}")
    receiver.__qualname__ = receiver.__name__
    return receiver


@pytest.mark.parametrize("verb", [("list",), ("list", "--json"), ("graph",)], ids=" ".join)
def test_v6_the_work_for_a_thousand_receivers_grows_no_faster_than_their_number(connect, verb):
    made = []
    for count in (0, 500, 1000):
        for number in range(max(count - 500, 0), count):
            connect(post_save, named(number), sender=(Writer, Novel, Article)[number % 3], when=created)
        signals(*verb)  # the first one fills caches
        made.append(calls_made(lambda: signals(*verb)))
    none, half, whole = made
    assert whole - none < 2.2 * (half - none)


# --- texts that are the same in each process -------------------------------------------------------------------------


def test_the_text_of_a_sender_has_no_address(connect):
    sender = object()
    connect(page_turned, send_mail, sender=sender)
    assert documents("--signal", "page_turned")["receivers"][0]["sender"] == "<object object>"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Retry(backoff=<function wait at 0x7f3c2a1b>)", "Retry(backoff=<function wait>)"),
        ("changed('status', to={'sent', 'paid'})", "changed('status', to={'paid', 'sent'})"),
        ("changed('status', to=frozenset({3, 1})) & ~raw", "changed('status', to=frozenset({1, 3})) & ~raw"),
        ("Durable(key={'b': 1, 'a': 2})", "Durable(key={'b': 1, 'a': 2})"),
        ("<Odd {2, 1}>", "<Odd {2, 1}>"),
    ],
)
def test_the_text_of_an_option_does_not_depend_on_the_process(text, expected):
    assert stable(text) == expected
