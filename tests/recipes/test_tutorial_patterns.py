"""The patterns of tutorials in examples/tutorial fail in real threads, transactions or processes; ours do not.

A check returns how many of its writes have gone wrong. It is the same for both forms. `test_tutorial_patterns_page.py`
compares the page with its figures.
"""

import os
import signal
import threading
from contextlib import suppress
from queue import Empty

import pytest
from django.core import mail
from django.core.cache import cache
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import IntegrityError, connection, connections, transaction

from examples.tutorial import (
    audit_trail,
    background_task,
    cached_title,
    counter,
    file_deletion,
    profile,
    slug,
    stock,
    welcome_mail,
)
from examples.tutorial.models import Cart, Guide, Item, Member, Order, OrderLine, Product, Profile
from heliograph.outbox import drain
from heliograph.recipes import OutOfStock
from heliograph.signals import post_save, pre_save
from heliograph.testing import isolated
from tests.helpers.savepoints import UndoneError
from tests.helpers.threads import LONG, at_once, in_thread

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _isolated(settings, tmp_path):
    """Let nothing stay connected, audited or cached, and no file be left."""
    settings.MEDIA_ROOT = tmp_path
    with isolated():
        yield
    cache.clear()


# --- checks -------------------------------------------------------------------------------------------------------


def wait_for_all(number, model):
    """Let threads stop where they save a row of a model, until all of them have read what is there."""
    all_have_read = threading.Barrier(number, timeout=LONG)

    def wait(sender, **kwargs):
        all_have_read.wait()

    pre_save.connect(wait, sender=model, weak=False)


def members_without_a_profile(pattern, form):
    Member.objects.bulk_create([Member() for _ in range(100)])
    return 100 - Profile.objects.count()


def guides_that_eight_threads_cannot_save(pattern, form):
    wait_for_all(8, Guide)

    def attempt():
        try:
            Guide.objects.create(title="Green tea")
        except IntegrityError:
            return 1
        return 0

    return sum(at_once(*[attempt] * 8))


def items_that_are_not_counted(pattern, form):
    cart = Cart.objects.create()
    wait_for_all(8, Cart)
    at_once(*[lambda: Item.objects.create(cart=Cart.objects.get(pk=cart.pk))] * 8)
    return 8 - Cart.objects.get().items_count


def sales_that_are_not_taken(pattern, form):
    tea = Product.objects.create(stock=10)
    wait_for_all(16, Product)

    def buy():
        with suppress(OutOfStock):
            OrderLine.objects.create(product=Product.objects.get(pk=tea.pk))

    at_once(*[buy] * 16)
    return OrderLine.objects.count() - (10 - Product.objects.get().stock)


def titles_that_stay_old(pattern, form):
    read = {"as_written": pattern.title_as_written, "ours": pattern.our_title}[form]
    stale = 0
    for _ in range(10):
        product = Product.objects.create(title="old")
        with transaction.atomic():
            product.title = "new"
            product.save()
            in_thread(read, product.pk)  # a visitor, before the commit
        stale += read(product.pk) != "new"
    return stale


def files_that_are_gone_after_a_rollback(pattern, form):
    for number in range(10):
        product = Product.objects.create(image=ContentFile(b"tea", name=f"{number}.png"))
        with suppress(UndoneError), transaction.atomic():
            product.delete()
            raise UndoneError
    return sum(not default_storage.exists(product.image.name) for product in Product.objects.all())


def prices_that_nobody_has_recorded(pattern, form):
    changes = {"as_written": pattern.changes_as_written, "ours": pattern.our_changes}[form]
    product = Product.objects.create(price=1)
    product.price = 2
    product.save()
    Product.objects.update(price=3)
    product.price = 4
    Product.objects.bulk_update([product], ["price"])
    return len({(1, 2), (2, 3), (3, 4)} - {*changes(product)})


def mails_to_members_who_do_not_exist(pattern, form):
    for _ in range(10):
        with suppress(UndoneError), transaction.atomic():
            Member.objects.create(email="ada@example.com")
            raise UndoneError
    drain()
    return len(mail.outbox)


def mails_that_a_killed_process_loses(pattern, form):
    post_save.connect(_die, sender=Member, order=-1)
    for _ in range(3):
        _in_a_process(lambda: Member.objects.create(email="ada@example.com"))
    drain()
    return Member.objects.count() - len(mail.outbox)


def _die(sender, **kwargs):
    os.kill(os.getpid(), signal.SIGKILL)


def _in_a_process(write):
    """Write in a process of its own, which is killed."""
    connections.close_all()
    if not (child := os.fork()):
        write()
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def orders_that_no_worker_has_found(pattern, form):
    work = {"as_written": _work_as_celery, "ours": drain}[form]
    waits_for_the_commit = form == "ours" and connection.vendor == "sqlite"  # which has one writer at a time
    for _ in range(10):
        with transaction.atomic():
            Order.objects.create()
            if not waits_for_the_commit:
                in_thread(work)  # a worker that has nothing else to do
        in_thread(work)
    return Order.objects.filter(is_indexed=False).count()


def _work_as_celery():
    """Take each message from the queue of Celery, and run its task."""
    with background_task.app.connection_for_read() as broker:
        queue = broker.SimpleQueue("celery")
        with suppress(Empty):
            while True:
                message = queue.get_nowait()
                message.ack()
                background_task.app.tasks[message.headers["task"]].apply(*message.payload[:1])


# How many of its writes are wrong as tutorials write a pattern, and of how many.
CHECKS = {
    members_without_a_profile: (profile, 100, 100),
    guides_that_eight_threads_cannot_save: (slug, 7, 8),
    items_that_are_not_counted: (counter, 7, 8),
    sales_that_are_not_taken: (stock, 15, 16),
    titles_that_stay_old: (cached_title, 10, 10),
    files_that_are_gone_after_a_rollback: (file_deletion, 10, 10),
    prices_that_nobody_has_recorded: (audit_trail, 2, 3),
    mails_to_members_who_do_not_exist: (welcome_mail, 10, 10),
    mails_that_a_killed_process_loses: (welcome_mail, 3, 3),
    orders_that_no_worker_has_found: (background_task, 10, 10),
}
FIGURES = [pytest.param(check, *expected, id=check.__name__) for check, expected in CHECKS.items()]
PATTERNS = [pytest.param(check, pattern, id=check.__name__) for check, (pattern, _, _) in CHECKS.items()]


@pytest.mark.parametrize(("check", "pattern", "wrong", "number"), FIGURES)
def test_control_j1_a_pattern_of_tutorials_is_wrong_as_often_as_the_page_says(check, pattern, wrong, number):
    pattern.as_written()

    assert check(pattern, "as_written") == wrong


@pytest.mark.parametrize(("check", "pattern"), PATTERNS)
def test_our_line_passes_the_check_that_the_pattern_of_tutorials_fails(check, pattern):
    pattern.ours()

    assert check(pattern, "ours") == 0
