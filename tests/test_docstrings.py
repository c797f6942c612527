"""A docstring becomes a page: code between backticks, bare code, examples, and links to public names."""

import importlib.util
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[1] / "docs"

pytestmark = pytest.mark.database_independent


@pytest.fixture(scope="module")
def docstrings():
    spec = importlib.util.spec_from_file_location("docstrings", DOCS / "docstrings.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("With `batch=True` there is one.", "With ``batch=True`` there is one."),
        ("A span over `two\nlines` is one.", "A span over ``two\nlines`` is one."),
        ("None for nobody, or True.", "``None`` for nobody, or ``True``."),
        ("Raises TypeError on pre_save.", "Raises ``TypeError`` on ``pre_save``."),
        ('A label such as "shop.Order".', 'A label such as ``"shop.Order"``.'),
        ('It says "no such row" to people.', 'It says "no such row" to people.'),
        ("A key of m2m_changed()", "A key of ``m2m_changed()``"),
        ("It calls save(update_fields=...).", "It calls save(update_fields=...)."),
    ],
)
def test_code_in_a_sentence_is_a_literal(docstrings, written, shown):
    assert docstrings.as_restructured_text(written, "heliograph.some") == shown


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("Batch", "heliograph.Batch"),
        ("drain()", "heliograph.outbox.drain"),
        ("Signal.connect", "heliograph.Signal.connect"),
        ("context.declare()", "heliograph.context.context.declare"),
    ],
)
def test_a_public_name_is_a_link(docstrings, code, name):
    assert docstrings.as_restructured_text(f"See `{code}`.", "heliograph.some") == f"See :py:obj:`{code} <{name}>`."


@pytest.mark.parametrize("word", ["created", "context", "queue"])
def test_a_parameter_that_has_the_name_of_something_public_is_no_link(docstrings, word):
    assert docstrings.as_restructured_text(f"With `{word}`.", "heliograph.some") == f"With ``{word}``."


@pytest.mark.parametrize("own", ["heliograph.Batch", "heliograph.Batch.changes"])
def test_a_description_does_not_link_itself(docstrings, own):
    assert docstrings.as_restructured_text("A `Batch`.", own) == "A ``Batch``."


def test_an_indented_block_is_an_example_whose_text_stays(docstrings):
    text = docstrings.as_restructured_text("So:\n\n    wait(None)\n\n    `x`\n\nNone is best.", "heliograph.some")

    assert text == "So:\n\n.. code-block:: python\n\n    wait(None)\n\n    `x`\n\n``None`` is best."


@pytest.mark.parametrize(
    ("types", "shown"),
    [
        ("(key: ~collections.abc.Callable[[...], ~typing.Any])", "(key: Callable[..., Any])"),
        ("(batch: ~heliograph.transactions.batches.Batch)", "(batch: ~heliograph.Batch)"),
        ("(on: type = <class 'BaseException'>)", "(on: type = BaseException)"),
        ("(**options: ~typing.Unpack[heliograph.receivers.decorator.ReceiverOptions])", "(**options)"),
        ("(after: Limit = None)", "(after: timedelta | float | None = None)"),
    ],
)
def test_a_signature_shows_short_names(docstrings, types, shown):
    assert docstrings.readable(types) == shown


def test_a_signature_leaves_out_the_parameter_that_refuses_every_other_name(docstrings):
    args, returned = docstrings.on_signature(None, "function", "f", None, None, "(a=1, **unknown: Unpack[No])", "None")

    assert (args, returned) == ("(a=1)", None)


def test_a_class_that_nobody_calls_has_no_signature(docstrings):
    found = docstrings.on_signature(None, "class", "C", None, None, "(rows: list = <factory>)", None)

    assert found == ("", None)
