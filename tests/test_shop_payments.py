"""The payments of the example shop: a worker that is killed between a charge and its record charges once."""

import shutil
import signal

import pytest

from tests.helpers.shop import SHOP, manage, promises

# Somebody buys a book and pays it, with a card of which no answer is lost.
PAY = """
from django.contrib.auth.models import User
from bookstore.models import Book
from bookstore.services import buy
from payments.services import pay
ada = User.objects.create_user("ada")
pay(buy(ada, Book.objects.create(title="Salt and Copper", cents=1350, stock=1, received=1)), "good")
"""
KILLED = """
    if is_new:
        import os, signal
        os.kill(os.getpid(), signal.SIGKILL)
"""
PAID = "what is paid and not cancelled has one charge, of its cents"


@pytest.fixture
def shop(tmp_path):
    """A copy of the shop, whose worker is killed when the service has just charged a card for a key that is new."""
    shop = shutil.copytree(SHOP, tmp_path / "shop", ignore=shutil.ignore_patterns(".data"))
    replace(shop / "payments" / "provider.py", "    if is_new and", f"{KILLED}    if is_new and")
    return shop


def replace(path, old, new):
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), encoding="utf-8")


def killed(folder, shop):
    """Pay a book, and let one worker after the other try until it is paid; return how many were killed."""
    for command in (["migrate", "--verbosity", "0"], ["shell", "--command", PAY]):
        assert manage(folder, *command, shop=shop).returncode == 0
    kills = 0
    while waits(folder, shop):
        kills += manage(folder, "outbox", "run", "--drain", shop=shop).returncode == -signal.SIGKILL
    return kills


def waits(folder, shop):
    rows, _ = promises(manage(folder, "promises", shop=shop).stdout)[PAID]
    return not rows


def test_a_worker_that_is_killed_between_a_charge_and_its_record_charges_once(tmp_path, shop):
    assert killed(tmp_path, shop) == 1

    assert promises(manage(tmp_path, "promises", shop=shop).stdout)[PAID] == (1, 0)


def test_without_the_idempotency_key_the_card_is_charged_twice(tmp_path, shop):
    replace(shop / "payments" / "provider.py", "    if is_new:", "    if is_new and Charge.objects.count() == 1:")
    receivers = shop / "payments" / "receivers.py"
    replace(receivers, "key=str(instance.charge_key)", "key=str(__import__('uuid').uuid4())")

    assert killed(tmp_path, shop) == 1

    assert promises(manage(tmp_path, "promises", shop=shop).stdout)[PAID] == (1, 1)
