"""`redelivered()` finds receivers that are not the same twice, and accuses no receiver that is."""

import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from socket import socket
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings
from django.core import mail as outgoing
from django.core.cache import cache
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage
from django.core.mail import EmailMessage, make_msgid, send_mail
from django.db import transaction
from django.db.models import F

from heliograph import Durable, OnRollback, Retry, RetryAfter, Snooze, created
from heliograph.dispatch.describe import source
from heliograph.outbox.models import Delivery, State
from heliograph.recipes import mail
from heliograph.signals import post_save
from heliograph.testing import redelivered
from tests.app.models import Account, Article, Buyer, Country, Genre, Page, Purchase, Writer
from tests.helpers.attempts import fail
from tests.helpers.endpoints import serving
from tests.helpers.errors import MishapError
from tests.testing.failures import failure

pytestmark = pytest.mark.django_db(databases="__all__")

IN_TRANSACTION = Durable()
WITHOUT = Durable(atomic=False)


@pytest.fixture(scope="module")
def service():
    """The address of a service that receivers send requests to."""
    with serving() as server:
        yield server.url()


@pytest.fixture(autouse=True)
def world(service, tmp_path, monkeypatch, settings):
    """Rows that receivers change, a folder into which they write, and a service."""
    settings.SERVICE = service
    monkeypatch.chdir(tmp_path)
    Article.objects.create(title="Kept")
    for alias in ("default", "other"):
        Account.objects.using(alias).create(balance=10)


def ask(method, **headers):
    """Send a request to the service."""
    request = Request(settings.SERVICE, b"1", headers, method=method)
    with suppress(OSError), urlopen(request, timeout=60):
        """Read nothing."""


def message(**headers):
    return EmailMessage("Welcome", "Hello", "shop@example.org", ["ada@example.org"], headers=headers)


# --- mistakes -----------------------------------------------------------------------------------------------------


def add_balance(**kwargs):
    Account.objects.update(balance=F("balance") + 1)


def add_balance_elsewhere(**kwargs):
    Account.objects.using("other").update(balance=F("balance") + 1)


def add_page(**kwargs):
    Page.objects.create()


def add_country(**kwargs):
    Country.objects.create(code="GB")


def welcome(**kwargs):
    send_mail("Welcome", "Hello", "shop@example.org", ["ada@example.org"])


def welcome_with_an_id_of_each_attempt(**kwargs):
    message(**{"Message-ID": make_msgid()}).send()


def welcome_once_for_each_committed_mark(**kwargs):
    """Look at a mark that the death of the worker takes back, while the mail stays sent."""
    if Article.objects.filter(title="Kept").update(title="Welcomed"):
        message().send()


def log_in_file(instance, **kwargs):
    with Path("genres.log").open("a") as file:
        file.write(f"{instance.pk}\n")


def store_cover(**kwargs):
    FileSystemStorage("covers").save("cover.png", ContentFile(b"png"))


def count_in_cache(**kwargs):
    cache.add("genres", 0)
    cache.incr("genres")


def charge(**kwargs):
    ask("POST")


def connect(**kwargs):
    with socket() as client:
        client.connect(("127.0.0.1", urlsplit(settings.SERVICE).port))


def run_program(**kwargs):
    subprocess.run([sys.executable, "-c", ""], check=True)


WRONG = [
    (add_balance, WITHOUT, "app.Account {key}: balance is 11, and then 12"),
    (add_balance_elsewhere, IN_TRANSACTION, "app.Account {key}: balance is 11, and then 12"),
    (add_page, WITHOUT, "app.Page: 1 more of ()"),
    (add_country, WITHOUT, "the second attempt raises IntegrityError("),
    (
        welcome,
        IN_TRANSACTION,
        "mail 'Welcome' to 1 recipient is sent again, with no Message-ID that both",
    ),
    (welcome_with_an_id_of_each_attempt, WITHOUT, "mail 'Welcome' to 1 recipient is sent again"),
    (welcome_once_for_each_committed_mark, IN_TRANSACTION, "mail 'Welcome' to 1 recipient is sent again"),
    (log_in_file, IN_TRANSACTION, "genres.log is not the same"),
    (store_cover, WITHOUT, ".png is not the same"),
    (count_in_cache, IN_TRANSACTION, "cache default :1:genres is not the same"),
    (charge, WITHOUT, "is requested again, with no Idempotency-Key that both attempts give it"),
    (connect, WITHOUT, "is made again, and what it sends cannot be seen: compare what it leaves with also="),
    (run_program, IN_TRANSACTION, f"program {sys.executable} is started again: compare what it leaves with also="),
]


def name(one):
    return getattr(one, "__name__", repr(one))


@pytest.mark.parametrize(("function", "policy", "text"), WRONG, ids=[name(function) for function, _, _ in WRONG])
def test_k5_a_receiver_that_is_not_the_same_twice_is_found(receive, function, policy, text):
    receive(post_save, sender=Genre, delivery=policy)(function)

    lines = failure(redelivered, Genre.objects.create).splitlines()

    file, line = source(function)
    assert lines[0] == f"{__name__}.{function.__name__} ({file}:{line}) is not the same twice:"
    keys = [Account.objects.using(using).get().pk for using in ("default", "other")]  # of which each has its numbers
    assert [one for one in lines[1:] for key in keys if text.replace("{key}", repr(key)) in one]


# --- right receivers ----------------------------------------------------------------------------------------------


def get_or_create(**kwargs):
    Writer.objects.get_or_create(name="Ada")


def set_balance(**kwargs):
    Account.objects.update(balance=20)


def update_or_create(instance, **kwargs):
    Country.objects.update_or_create(code="GB", defaults={"name": instance.name})


def save_with_its_time(**kwargs):
    article = Article.objects.get()
    article.words = 100
    article.save()


def replace_pages(**kwargs):
    Page.objects.all().delete()
    Page.objects.bulk_create([Page(), Page()])


def add_balance_once_for_each_key(delivery, **kwargs):
    with transaction.atomic():
        _, is_first = Writer.objects.get_or_create(name=delivery.idempotency_key)
        if is_first:
            Account.objects.update(balance=F("balance") + 1)


def welcome_with_an_id(delivery, **kwargs):
    message(**{"message-id": f"<{delivery.idempotency_key}@example.org>"}).send()


def mark_and_welcome(**kwargs):
    if Article.objects.filter(title="Kept").update(title="Welcomed"):
        message().send()


def export(instance, **kwargs):
    Path("genre.txt").write_text(instance.name)


def cache_name(instance, **kwargs):
    cache.set("genre", {instance.name})


def cache_what_is_equal_and_pickled_in_another_way(delivery, **kwargs):
    items = [("a", 1), ("b", 2)]
    cache.set("genre", dict(items if delivery.attempt == 1 else reversed(items)))


def store_what_is_equal_and_written_in_another_way(delivery, **kwargs):
    items = [("a", 1), ("b", 2)]
    Article.objects.update(labels=dict(items if delivery.attempt == 1 else reversed(items)))


def charge_with_a_key(delivery, **kwargs):
    ask("POST", **{"Idempotency-Key": delivery.idempotency_key})


def put(**kwargs):
    ask("PUT")


def remove_instance(instance, **kwargs):
    instance.delete()


async def set_balance_in_async_code(**kwargs):
    await Account.objects.aupdate(balance=20)


RIGHT = [
    (add_balance, IN_TRANSACTION),
    (add_page, IN_TRANSACTION),
    (add_balance, Durable(atomic=False, retry=Retry(attempts=1))),
    (get_or_create, WITHOUT),
    (set_balance, WITHOUT),
    (update_or_create, WITHOUT),
    (save_with_its_time, WITHOUT),
    (replace_pages, WITHOUT),
    (add_balance_once_for_each_key, WITHOUT),
    (welcome_with_an_id, IN_TRANSACTION),
    (mark_and_welcome, WITHOUT),
    (export, IN_TRANSACTION),
    (cache_name, IN_TRANSACTION),
    (cache_what_is_equal_and_pickled_in_another_way, IN_TRANSACTION),
    (store_what_is_equal_and_written_in_another_way, WITHOUT),
    (charge_with_a_key, WITHOUT),
    (put, WITHOUT),
    (remove_instance, WITHOUT),
    (set_balance_in_async_code, WITHOUT),
]


@pytest.mark.parametrize(("function", "policy"), RIGHT, ids=name)
def test_k5_a_receiver_that_is_the_same_twice_is_not_accused(receive, function, policy):
    receive(post_save, sender=Genre, delivery=policy)(function)

    [one] = redelivered(Genre.objects.create)

    assert (one.receiver, one.differences) == (function, ())
    assert {row.state for row in Delivery.objects.all()} <= {State.SUCCESSFUL, State.DISCARDED}


def test_k5_the_recipe_mail_is_not_accused(request):
    declared = mail(Purchase, when=created, to="buyer.email", template="purchases/placed")
    request.addfinalizer(declared.disconnect)
    buyer = Buyer.objects.create(email="ada@example.org")

    [one] = redelivered(lambda: Purchase.objects.create(buyer=buyer))

    assert one.differences == ()


# --- by hand ------------------------------------------------------------------------------------------------------


def test_k5_a_delivery_that_is_redelivered_by_hand_has_committed_before(receive):
    receive(post_save, sender=Genre, delivery=Durable(retry=Retry(attempts=1)))(add_balance)

    assert "balance is 11, and then 12" in failure(redelivered, Genre.objects.create, by_hand=True)


@pytest.mark.parametrize("function", [set_balance, update_or_create, welcome_with_an_id, mark_and_welcome], ids=name)
def test_k5_a_right_receiver_is_not_accused_by_hand(receive, function):
    receive(post_save, sender=Genre, delivery=IN_TRANSACTION)(function)

    [one] = redelivered(Genre.objects.create, by_hand=True)

    assert one.differences == ()
    assert Delivery.objects.get().state == State.SUCCESSFUL


def test_the_error_of_a_first_attempt_by_hand_is_raised(receive):
    receive(post_save, sender=Genre, delivery=Durable())(fail)

    with pytest.raises(MishapError, match="no way"):
        redelivered(Genre.objects.create, by_hand=True)


# --- what is made, and what is left -------------------------------------------------------------------------------


def test_deliveries_that_waited_before_are_left_alone(receive):
    receive(post_save, sender=Genre, delivery=Durable())(set_balance)
    Genre.objects.create()

    assert len(redelivered(Genre.objects.create)) == 1
    assert Delivery.objects.filter(state=State.READY).count() == 1


def test_deliveries_that_a_receiver_causes_are_made_twice_too(receive):
    receive(post_save, sender=Genre, delivery=Durable())(get_or_create)
    receive(post_save, sender=Writer, delivery=WITHOUT)(add_balance)

    found = redelivered(Genre.objects.create, raising=False)

    assert [(one.receiver, bool(one.differences)) for one in found] == [(get_or_create, False), (add_balance, True)]


def test_a_path_that_causes_no_delivery_proves_nothing():
    assert failure(redelivered, Genre.objects.create) == (
        "The function has caused no delivery that is due on 'default', so nothing is proven."
    )


def test_the_error_of_a_first_attempt_is_raised(receive):
    receive(post_save, sender=Genre, delivery=Durable())(fail)

    with pytest.raises(MishapError, match="no way"):
        redelivered(Genre.objects.create)


def test_the_error_of_the_only_attempt_is_raised(receive):
    receive(post_save, sender=Genre, delivery=Durable(retry=Retry(attempts=1)))(fail)

    with pytest.raises(MishapError, match="no way"):
        redelivered(Genre.objects.create)


@pytest.mark.parametrize("response", [Snooze(60), RetryAfter(60)], ids=repr)
def test_a_receiver_that_asks_for_another_attempt_is_not_accused(receive, response):
    receive(post_save, sender=Genre, delivery=Durable())(lambda **kwargs: response)

    [one] = redelivered(Genre.objects.create)

    assert one.differences == ()


def test_receivers_after_a_rollback_are_not_called_by_a_worker_that_has_died(receive, listen):
    receive(post_save, sender=Genre, delivery=Durable())(get_or_create)
    undone = listen(post_save, sender=Writer, delivery=OnRollback())

    redelivered(Genre.objects.create)

    assert undone == []


def test_what_a_test_compares_in_addition_is_found(receive):
    calls = []
    receive(post_save, sender=Genre, delivery=Durable())(lambda **kwargs: calls.append("charge"))

    text = failure(redelivered, Genre.objects.create, also=lambda: calls)

    assert text.endswith("  also= is ['charge'], and then ['charge', 'charge']")


@pytest.mark.parametrize("ignored", [Account, "app.Account.balance", add_balance], ids=str)
def test_models_fields_and_receivers_are_ignored(receive, ignored):
    receive(post_save, sender=Genre, delivery=WITHOUT)(add_balance)

    redelivered(Genre.objects.create, ignoring=["app.Account.twice", ignored])


def test_rows_that_differ_in_the_end_of_a_long_text_are_not_the_same(receive):
    @receive(post_save, sender=Genre, delivery=WITHOUT)
    def rewrite(delivery, **kwargs):
        Article.objects.all().delete()
        Article.objects.create(title=f"{'long ' * 19}{delivery.attempt}")

    assert [line[:36] for line in failure(redelivered, Genre.objects.create).splitlines()[1:]] == [
        "  app.Article: 1 more of (title='lon",
        "  app.Article: 1 fewer of (title='lo",
    ]


def test_many_rows_are_counted(receive):
    @receive(post_save, sender=Genre, delivery=WITHOUT)
    def add(**kwargs):
        Writer.objects.bulk_create(Writer(name=str(number)) for number in range(8))
        Writer.objects.filter(name__in="12").delete()

    lines = failure(redelivered, Genre.objects.create).splitlines()

    assert lines[1] == "  app.Writer: 1 more of (name='0')"
    assert lines[-1] == "  app.Writer: and 1 more rows"


def test_mails_and_caches_of_receivers_are_held(receive):
    receive(post_save, sender=Genre, delivery=Durable())(welcome_with_an_id)
    receive(post_save, sender=Genre, delivery=Durable())(cache_name)

    redelivered(Genre.objects.create)

    assert outgoing.outbox == []
    assert cache.get("genre") is None


# --- each kind of test --------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True, databases="__all__")
@pytest.mark.parametrize(("function", "policy"), [(add_balance, IN_TRANSACTION), (set_balance, WITHOUT)], ids=name)
def test_without_a_transaction_of_the_test_deliveries_are_made_twice_too(receive, function, policy):
    receive(post_save, sender=Genre, delivery=policy)(function)

    redelivered(Genre.objects.create)

    assert Account.objects.get().balance == {add_balance: 11, set_balance: 20}[function]


async def test_a_coroutine_function_causes_deliveries_from_an_async_test(receive, async_database):
    receive(post_save, sender=Genre, delivery=IN_TRANSACTION)(add_balance)

    [one] = await sync_to_async(redelivered)(Genre.objects.acreate)

    assert one.receiver is add_balance
