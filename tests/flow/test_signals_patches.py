"""The command `signals patches`: the methods of Django that are patched, and the steps that run around each."""

from io import StringIO

import pytest
from django.core.management import call_command

from heliograph import changed
from heliograph.signals import post_save
from tests.app.models import Novel


@pytest.fixture
def patches():
    def patches():
        output = StringIO()
        call_command("signals", "patches", stdout=output)
        return {line.partition("  ")[0]: line.partition("  ")[2].strip() for line in output.getvalue().splitlines()}

    return patches


def test_a_method_is_listed_with_its_steps_while_a_receiver_needs_it(listen, patches):
    listen(post_save, sender=Novel, when=changed("name"))

    assert patches()["tests.app.models_of_books.Novel._save_table"] == "remember"


def test_a_method_is_not_listed_when_the_receiver_has_left(connect, patches):
    def receiver(**kwargs):
        """A receiver."""

    connect(post_save, receiver, sender=Novel, when=changed("name"))
    post_save.disconnect(receiver, sender=Novel)

    assert "tests.app.models_of_books.Novel._save_table" not in patches()
