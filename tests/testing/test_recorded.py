"""`signals record`: a test is written that passes, and fails when a receiver is disconnected."""

import re
import sys
from types import ModuleType
from unittest.mock import patch

import pytest
from django.core.management import CommandError, call_command

from heliograph import Signal, trace
from heliograph.flow.recording.importable_names import Importable, importable, importable_signal
from heliograph.flow.recording.recorded_facts import Recording, recording_of
from heliograph.flow.recording.written_tests import Names, written_test
from tests.testing.recorded_project import Project

shipped = Signal()


def index(**kwargs):
    """A receiver."""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return Project(tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="module")
def recorded(project):
    """The project with the test that was written for a command."""
    finished = project.record("--as-test", "test_shipped.py", "--", "ship_all", "DHL")
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout == "test_shipped.py has a test with 6 assertions.\n"
    return project


def test_the_test_calls_the_command_and_asserts_senders_receivers_and_outcomes(recorded):
    line = recorded.read("shop/receivers.py").splitlines().index("    @receiver(order_shipped, weak=False)") + 1

    docstring, _, code = recorded.read("test_shipped.py").partition("\n\n")
    assert docstring == '"""The command ship_all, as `manage.py signals record` has recorded it."""'
    assert (
        code
        == f"""import pytest
from django.core.management import call_command

from heliograph.signals import post_save
from shop.models import Order
from shop.receivers import confirm, number, show, write_label
from shop.signals import order_shipped

pytestmark = pytest.mark.django_db


def test_ship_all(signals, outbox):
    call_command('ship_all', 'DHL')

    signals.assert_sent(post_save, sender=Order)
    signals.assert_sent(order_shipped, sender=Order)
    signals.assert_called(number, sender=Order)
    signals.assert_called(show, sender=Order)
    assert isinstance(signals.assert_called(write_label, sender=Order).outcome, LookupError)
    outbox.assert_enqueued(confirm, sender=Order)
    # A test cannot import it: shop.receivers.of_nobody.<locals>.within ({recorded.folder}/shop/receivers.py:{line})
"""
    )


def test_k7_the_written_test_passes(recorded):
    finished = recorded.test("test_shipped.py")

    assert finished.returncode == 0, finished.stdout
    assert "1 passed" in finished.stdout


@pytest.mark.parametrize(
    ("connected", "verb"),
    [
        ("@receiver(post_save, sender=Order, when=created)\ndef number", "number was not called"),
        ("@receiver(post_save, sender=Order, when=created, delivery=Durable())\ndef confirm", "shop.receivers.confirm"),
    ],
    ids=["inline", "durable"],
)
def test_k7_the_written_test_fails_when_a_receiver_is_disconnected(recorded, connected, verb):
    disconnected = connected.partition("\n")[2]
    recorded.replace("shop/receivers.py", connected, disconnected)
    try:
        finished = recorded.test("test_shipped.py")
    finally:
        recorded.replace("shop/receivers.py", disconnected, connected)

    assert finished.returncode == 1, finished.stdout
    assert verb in finished.stdout


def test_values_are_asserted_where_their_names_are_asked_for(project):
    project.record("--as-test", "test_values.py", "--with-values", "carrier", "--", "ship_all", "UPS")

    lines = project.read("test_values.py").splitlines()
    assert "    signals.assert_sent(order_shipped, sender=Order, carrier='UPS')" in lines
    assert "    signals.assert_sent(post_save, sender=Order)" in lines
    assert project.test("test_values.py").returncode == 0


def test_the_options_may_be_behind_the_command(project):
    finished = project.record("--", "ship_all", "DHL", "--as-test", "test_behind.py")

    assert finished.returncode == 0, finished.stderr
    assert "call_command('ship_all', 'DHL')" in project.read("test_behind.py")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (
            ["--with-values", "order", "--", "ship_all", "DHL"],
            "No send has had a value 'order' that can be written",
        ),
        (["--", "ship_all", "DHL", "--fail"], "LookupError: no carrier"),
    ],
    ids=["a row", "a command that fails"],
)
def test_nothing_is_written_where_the_test_could_not_pass(project, arguments, error):
    finished = project.record("--as-test", "test_a.py", *arguments)

    assert finished.returncode == 1
    assert error in finished.stderr
    assert not (project.folder / "test_a.py").exists()


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--as-test", "test_a.py"], "Say which command to record: manage.py signals record --as-test FILE -- COMMAND"),
        (["--", "check"], "Say where to write the test: --as-test tests/test_orders.py"),
        (["--as-test", __file__, "--", "check"], f"{__file__} is there already: name another file, or remove it."),
        (["--as-test", "no/test_a.py", "--", "check"], "no/test_a.py cannot be written: there is no directory no."),
        (["--as-test", "test_a.py", "--", "diffsettings"], "There is nothing to assert: the command has sent nothing"),
    ],
    ids=["no command", "no file", "a file that is there", "no directory", "nothing sent"],
)
@pytest.mark.django_db(databases="__all__")
def test_the_error_says_what_is_missing(arguments, error):
    with pytest.raises(CommandError, match=re.escape(error)):
        call_command("signals", "record", *arguments)


def test_a_signal_is_imported_from_the_module_that_its_name_says():
    assert importable_signal(shipped) == Importable(__name__, "shipped")


def test_a_signal_without_such_a_name_is_imported_from_a_module_of_signals():
    home = ModuleType("warehouse.of.signals")
    home.packed = packed = Signal(name="shop.packed")
    other = ModuleType("warehouse")
    other.packed = packed

    with patch.dict(sys.modules, {one.__name__: one for one in (home, other)}):
        assert importable_signal(packed) == Importable("warehouse.of.signals", "packed")
    assert importable_signal(packed) is None


def test_two_receivers_with_one_name_have_two_names_in_the_test():
    names = Names()

    assert [names.name(Importable(module, "notify")) for module in ("shop.mails", "shop.tasks", "shop.mails")] == [
        "notify",
        "shop_tasks_notify",
        "notify",
    ]
    assert names.imports() == ["from shop.mails import notify", "from shop.tasks import notify as shop_tasks_notify"]


def test_a_send_without_a_sender_is_asserted_without_one(receive):
    receive(shipped)(index)
    with trace() as flow:
        shipped.send(None, carrier="DHL")

    assert [(one.verb, one.sender) for one in recording_of(flow.events, []).facts] == [
        ("signals.assert_sent", None),
        ("signals.assert_called", None),
    ]


def test_a_method_is_imported_with_its_class():
    assert importable(Project.record) == Importable("tests.testing.recorded_project", "Project.record")
    assert importable(lambda: None) is None


def test_a_test_of_several_databases_may_use_them():
    recording = Recording((), (), ("default", "other"), ())

    assert "pytestmark = pytest.mark.django_db(databases=['default', 'other'])" in written_test(recording, "ship", [])
