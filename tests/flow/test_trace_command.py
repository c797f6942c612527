"""The command `signals trace`: what a management command has caused, and what has caused the deliveries of a worker."""

import json
import re
from io import StringIO

import pytest
from django.core.management import BaseCommand, CommandError, call_command, get_commands

from heliograph import Durable, trace
from heliograph.context import context
from heliograph.outbox import drain
from heliograph.outbox.management.commands.outbox import Command as OutboxCommand
from heliograph.outbox.models import Delivery
from heliograph.signals import post_save
from tests.app.models import Article
from tests.app.models_of_books import Genre

pytestmark = pytest.mark.django_db(transaction=True, databases="__all__")

CREATE = "from tests.app.models import Article; Article.objects.create()"


def traced(*arguments):
    """Return what `signals trace` prints."""
    out = StringIO()
    call_command("signals", "trace", *arguments, stdout=out)
    return out.getvalue()


def record(**kwargs):
    """A receiver that a worker can find."""
    list(Genre.objects.all())


@pytest.fixture(autouse=True)
def unchecked(monkeypatch):
    """Let commands not check the project of the tests, which has errors on some databases."""
    monkeypatch.setattr(OutboxCommand, "requires_system_checks", [])


@pytest.fixture
def durable(receive):
    receive(post_save, sender=Article, delivery=Durable(queue="mail"))(record)


# --- any command ------------------------------------------------------------------------------------------------


def test_the_tree_of_a_command_is_printed():
    lines = traced("--", "shell", "--verbosity", "0", "--command", CREATE).splitlines()
    assert lines[0].startswith("save app.Article ")


def test_the_statements_are_printed_where_they_are_asked_for():
    assert "INSERT INTO" in traced("--sql", "--", "shell", "--command", CREATE)


def test_the_tree_is_written_to_a_file_as_json(tmp_path):
    file = tmp_path / "flow.json"
    assert traced("--json", str(file), "--", "shell", "--command", CREATE) == ""
    nodes = json.loads(file.read_text())["nodes"]
    assert [node["sender"] for node in nodes if node["kind"] == "save"] == ["app.Article"]


@pytest.mark.parametrize("name", [".", "no/flow.json"])
def test_a_file_that_cannot_be_written_is_refused_before_the_command_runs(name, tmp_path):
    with pytest.raises(CommandError, match=r"cannot be written: (it is a|there is no) directory"):
        traced("--json", tmp_path / name, "--", "shell", "--command", CREATE)
    assert not Article.objects.exists()


def test_the_command_prints_on_the_error_stream_where_json_is_printed(capsys):
    call_command("signals", "trace", "--json", "-", "--", "shell", "--command", f"{CREATE}; print('said')")
    printed = capsys.readouterr()
    assert json.loads(printed.out)["version"] == 1
    assert "said" in printed.err


def test_the_tree_of_a_command_that_fails_is_printed_before_its_error():
    out = StringIO()
    with pytest.raises(ZeroDivisionError):
        call_command("signals", "trace", "--", "shell", "--command", f"{CREATE}; 1/0", stdout=out)
    assert out.getvalue().startswith("save app.Article ")


class Refusing(BaseCommand):
    requires_system_checks = ()

    def handle(self, *args, **options):
        Article.objects.create()
        raise CommandError("No.", returncode=3)


def test_a_command_that_refuses_keeps_its_exit_code(monkeypatch):
    monkeypatch.setitem(get_commands(), "refuse", Refusing())
    out = StringIO()
    with pytest.raises(CommandError, match=r"^No\.$") as refused:
        call_command("signals", "trace", "--", "refuse", stdout=out)
    assert refused.value.returncode == 3
    assert out.getvalue().startswith("save app.Article ")


class Checking(BaseCommand):
    checked = False

    def check(self, *args, **kwargs):
        self.checked = True

    def handle(self, *args, **options): ...


def test_a_command_checks_the_project_as_it_does_without_the_trace(monkeypatch):
    checking = Checking()
    monkeypatch.setitem(get_commands(), "checking", checking)
    traced("--", "checking")
    assert checking.checked


def test_the_context_of_the_command_is_that_of_the_command(durable):
    traced("--", "shell", "--command", CREATE)
    assert '"command":"shell"' in Delivery.objects.get().context


@pytest.mark.parametrize("arguments", [(), ("--",), ("--sql", "--")])
def test_a_command_must_be_given(arguments):
    with pytest.raises(CommandError, match=r"Say which command to trace: manage\.py signals trace -- COMMAND"):
        traced(*arguments)


def test_a_command_that_there_is_not_is_refused():
    with pytest.raises(CommandError, match=r"There is no command 'nope'\. `manage\.py help` lists all commands\."):
        traced("--", "nope")


# --- deliveries -------------------------------------------------------------------------------------------------


def test_v3_a_delivery_that_a_worker_makes_later_names_its_cause(durable):
    with context(correlation_id="order 7", request_id="abc"), trace() as flow:
        Article.objects.create()
    [put_off] = [node for node in flow.tree.nodes() if node.traceparent]

    found = json.loads(traced("--json", "-", "--", "outbox", "run", "--drain", "--verbosity", "0"))

    [delivery] = [node for node in found["nodes"] if node["kind"] == "delivery"]
    assert delivery["cause"] == {
        "signal": "django.db.models.signals.post_save",
        "sender": "app.Article",
        "traceparent": put_off.traceparent,
        "correlation_id": "order 7",
        "request_id": "abc",
        "command": "",
    }
    [call] = [node for node in delivery["children"] if node["kind"] == "call"]
    assert (call["receiver"], len(call["queries"])) == (delivery["receiver"], 1)


def test_v3_the_text_of_a_send_and_of_its_delivery_have_one_traceparent(durable):
    with context(request_id="abc"), trace() as flow:
        Article.objects.create()
    [sent] = [line for line in str(flow).splitlines() if "is put off" in line]

    with trace() as later:
        drain()

    traceparent = sent.rpartition(", in ")[2]
    delivery, of_cause, *_, call = [line for line in str(later).splitlines() if "pre_" not in line]
    cause = f"caused by django.db.models.signals.post_save from app.Article, traceparent {traceparent}, request_id abc"
    assert re.match(r"delivery \d+ of the queue mail, attempt 1 ", delivery)
    assert of_cause == f"    {cause}"
    assert call.startswith("  tests.flow.test_trace_command.record ")


def test_a_delivery_without_a_context_names_its_signal(durable):
    Article.objects.create()
    with trace() as flow:
        drain()
    assert "caused by django.db.models.signals.post_save from app.Article\n" in str(flow)
