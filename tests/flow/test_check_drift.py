"""`signals check-drift`: what has changed about who receives what, and nothing else."""

import functools
import json
import os
import subprocess
import sys
import types

import pytest
from django.core.management import CommandError, call_command
from django.db.models import Count

from heliograph import OnCommit, Signal, changed, created
from heliograph.flow.drift import differences
from heliograph.recipes import keep
from heliograph.signals import post_save
from tests.app.models import Cart, Writer
from tests.helpers.signals_command import signals

drifting = Signal(name="reading.drifting")


def praise(**kwargs):
    """A receiver."""


def greet(**kwargs):
    """Another one."""


@pytest.fixture
def remembered(tmp_path):
    """Write who receives what into a file, and return its path."""

    def write():
        path = tmp_path / "flow.json"
        signals("check-drift", "--write", path)
        return path

    return write


def record(receiver, signal="django.db.models.signals.post_save", sender="shop.Order", **options):
    return {"signal": signal, "sender": sender, "receiver": receiver, "options": options}


def lines(before, after):
    return [" ".join(str(one).split()) for one in differences(before, after)]


# --- one difference -------------------------------------------------------------------------------------------------


def test_v8_a_receiver_that_came_is_added():
    assert lines([], [record("shop.mail", when="created")]) == [
        "added shop.mail post_save from shop.Order when=created"
    ]


def test_v8_a_receiver_that_left_is_removed():
    assert lines([record("shop.mail")], []) == ["removed shop.mail post_save from shop.Order"]


def test_v8_a_receiver_in_another_module_is_moved():
    assert lines([record("shop.signals.mail")], [record("shop.receivers.mail")]) == [
        "moved shop.receivers.mail post_save from shop.Order was shop.signals.mail"
    ]


def test_v8_a_receiver_with_another_name_and_the_same_options_is_moved():
    assert lines([record("shop.mail", when="created")], [record("shop.send_mail", when="created")]) == [
        "moved shop.send_mail post_save from shop.Order was shop.mail"
    ]


def test_of_several_receivers_with_other_names_none_is_taken_for_another_one():
    before, after = [record("shop.mail"), record("shop.log")], [record("shop.praise"), record("shop.count")]
    assert [line.split()[:2] for line in lines(before, after)] == [
        ["added", "shop.count"],
        ["added", "shop.praise"],
        ["removed", "shop.log"],
        ["removed", "shop.mail"],
    ]


def test_v8_a_receiver_with_another_order_is_moved():
    assert lines([record("shop.mail")], [record("shop.mail", order="-1")]) == [
        "moved shop.mail post_save from shop.Order order: none -> -1"
    ]


def test_v8_a_receiver_that_is_called_before_another_one_now_is_moved():
    mail, count, log = record("shop.mail"), record("shop.count"), record("shop.log")
    assert lines([mail, count, log], [log, mail, count]) == [
        "moved shop.log post_save from shop.Order is called as number 1, was number 3"
    ]


def test_a_receiver_of_another_sender_does_not_change_the_order():
    mail, count = record("shop.mail"), record("shop.count", sender="shop.Cart")
    assert lines([mail, count], [count, mail]) == []


@pytest.mark.parametrize(
    ("option", "before", "after", "text"),
    [
        ("when", "created", "created & ~raw", "when: created -> created & ~raw"),
        ("delivery", None, "OnCommit()", "delivery: none -> OnCommit()"),
        ("bulk", "True", None, "bulk: True -> none"),
        ("async", None, True, "async: none -> yes"),
    ],
)
def test_v8_a_receiver_with_another_option_is_changed(option, before, after, text):
    old, new = ({option: value} if value else {} for value in (before, after))
    assert lines([record("shop.mail", **old)], [record("shop.mail", **new)]) == [
        f"changed shop.mail post_save from shop.Order {text}"
    ]


def test_v8_a_receiver_of_another_sender_is_changed():
    assert lines([record("shop.mail")], [record("shop.mail", sender="shop.Cart")]) == [
        "changed shop.mail post_save from shop.Cart sender: shop.Order -> shop.Cart"
    ]


def test_a_receiver_that_moved_and_changed_is_both():
    assert lines([record("shop.signals.mail")], [record("shop.receivers.mail", when="created")]) == [
        "changed shop.receivers.mail post_save from shop.Order when: none -> created",
        "moved shop.receivers.mail post_save from shop.Order was shop.signals.mail",
    ]


def test_a_second_receiver_of_the_same_name_is_added():
    one = record("shop.<lambda>")
    assert lines([one], [one, {**one}]) == ["added shop.<lambda> post_save from shop.Order"]


def test_of_two_receivers_of_one_name_the_one_that_is_as_it_was_is_no_difference():
    old, other, new = record("shop.<lambda>", when="a"), record("shop.<lambda>", when="b"), record("shop.<lambda>")
    assert lines([old, other], [new, other]) == [
        "changed shop.<lambda> post_save from shop.Order when: a -> none",
    ]


def test_a_receiver_of_another_signal_left_one_and_came_to_the_other():
    assert lines([record("shop.mail")], [record("shop.mail", signal="shop.paid")]) == [
        "added shop.mail shop.paid from shop.Order",
        "removed shop.mail post_save from shop.Order",
    ]


def test_what_a_recipe_has_in_brackets_is_part_of_its_name():
    assert lines([record("keep(shop.Order.total)")], [record("keep(shop.Order.cents)", bulk="True")]) == [
        "added keep(shop.Order.cents) post_save from shop.Order bulk=True",
        "removed keep(shop.Order.total) post_save from shop.Order",
    ]


# --- the command ----------------------------------------------------------------------------------------------------


def test_nothing_has_changed(connect, remembered):
    connect(post_save, praise, sender=Writer, when=created, delivery=OnCommit())
    path = remembered()
    assert signals("check-drift", path).out.endswith(f"connections are those of {path}.")


def test_a_difference_is_printed_with_the_exit_status_1(connect, remembered, capsys):
    path = remembered()
    connect(post_save, praise, sender=Writer, when=created)
    with pytest.raises(SystemExit) as ended:
        call_command("signals", "check-drift", str(path))
    printed = capsys.readouterr()
    assert ended.value.code == 1
    assert printed.out == f"added    {__name__}.praise  post_save from app.Writer  when=created\n"
    assert printed.err == f"If this is meant: manage.py signals check-drift --write {path}\n"


def test_a_file_is_written_anew_if_the_difference_is_meant(connect, remembered):
    path = remembered()
    connect(post_save, praise, sender=Writer)
    assert signals("check-drift", "--write", path).out.startswith(f"{path} has ")
    assert "connections are those of" in signals("check-drift", path).out


def test_the_listing_as_json_can_be_compared_with_too(connect, tmp_path):
    connect(post_save, praise, sender=Writer, when=changed("name"))
    path = tmp_path / "flow.json"
    path.write_text(signals("list", "--json").out)
    assert "connections are those of" in signals("check-drift", path).out


def test_the_file_has_no_lines_and_no_paths(connect, remembered):
    connect(post_save, praise, sender=Writer)
    text = remembered().read_text()
    assert __file__ not in text
    assert all(one.keys() == {"signal", "sender", "receiver", "options"} for one in json.loads(text)["receivers"])


def test_the_file_has_no_receivers_of_django_and_of_heliograph_itself(remembered):
    names = [one["receiver"] for one in json.loads(remembered().read_text())["receivers"]]
    assert [name for name in names if name.startswith(("django.", "heliograph.", "partial(heliograph."))] == []


def test_the_file_has_recipes_by_their_declarations(remembered):
    declaration = keep(Cart, items_count=Count("items"))
    try:
        names = {one["receiver"] for one in json.loads(remembered().read_text())["receivers"]}
    finally:
        declaration.disconnect()
    assert "keep(app.Cart.items_count)" in names


@pytest.mark.parametrize(
    "receiver",
    [lambda **kwargs: None, functools.partial(praise, 1), types.MethodType(lambda self, **kwargs: None, object())],
    ids=["lambda", "partial", "method"],
)
def test_a_receiver_without_a_name_of_its_own_is_the_same_next_time(connect, remembered, receiver):
    connect(drifting, receiver, weak=False, sender=object(), when=praise)
    path = remembered()
    assert " at 0x" not in path.read_text()
    assert "connections are those of" in signals("check-drift", path).out


def test_lines_above_a_receiver_are_no_difference(connect, remembered):
    connect(drifting, compiled("def later(**kwargs): ...", __name__))
    path = remembered()
    drifting.receivers = []
    connect(drifting, compiled("\n\n\n# A comment.\ndef later(**kwargs): ...", __name__))
    assert "connections are those of" in signals("check-drift", path).out


def compiled(text, module):
    names = {"__name__": module}
    exec(compile(text, "later.py", "exec"), names)
    return names["later"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[]", "it has no receivers."),
        ('{"version": 9, "receivers": []}', "it has version 9, and this release reads version 1."),
        ("no JSON", "Expecting value"),
    ],
)
def test_a_file_that_cannot_be_compared_with_is_refused(tmp_path, text, problem):
    path = tmp_path / "flow.json"
    path.write_text(text)
    with pytest.raises(CommandError) as refused:
        signals("check-drift", path)
    assert str(refused.value).startswith(f"{path} cannot be compared: {problem}")
    assert str(refused.value).endswith(f"Write it: manage.py signals check-drift --write {path}")


def test_a_file_that_is_missing_can_be_written(tmp_path):
    with pytest.raises(CommandError) as refused:
        signals("check-drift", tmp_path / "flow.json")
    assert str(refused.value) == (
        f"{tmp_path / 'flow.json'} does not exist. Write it: manage.py signals check-drift --write"
        f" {tmp_path / 'flow.json'}"
    )


PROJECT = """
import functools, sys
from django.conf import settings
settings.configure(INSTALLED_APPS=["heliograph", "django.contrib.contenttypes", "django.contrib.auth"])
import django
django.setup()
from django.contrib.auth.models import User
from django.core.management import call_command
from heliograph import OnCommit, changed, created, receiver, Signal
from heliograph.signals import post_save, pre_save

class Names:
    def __call__(self, **kwargs): ...

ready = Signal(name="project.ready")
named = {"ada", "bob", "eve", "kim"}
receiver(post_save, sender=User, weak=False, when=changed("username", to=named) | created)(Names())
receiver(pre_save, sender=User, weak=False, when=lambda **kwargs: True)(lambda **kwargs: None)
receiver(post_save, sender=User, weak=False, delivery=OnCommit())(functools.partial(Names(), a=object()))
receiver(ready, weak=False, sender=object())(Names())
call_command("signals", "check-drift", "--write", sys.argv[1])
"""


def test_v8_two_processes_write_the_same_file(tmp_path):
    written = []
    for seed in ("1", "2"):
        path = tmp_path / f"{seed}.json"
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        environment.pop("DJANGO_SETTINGS_MODULE", None)
        subprocess.run([sys.executable, "-c", PROJECT, str(path)], env=environment, check=True, capture_output=True)
        written.append(path.read_text())
    assert written[0] == written[1]
    assert "{'ada', 'bob', 'eve', 'kim'}" in written[0]
