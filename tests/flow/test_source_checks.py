"""The system check of sources: effects in the middle of a send, and receivers that save their instance again."""

import functools

import pytest
from django.core import mail
from django.core.mail import EmailMessage, send_mail
from django.db import transaction

from heliograph import Durable, OnCommit, created
from heliograph.dispatch import Signal
from heliograph.flow.source_checks import check_sources
from heliograph.signals import post_delete, post_save, pre_save
from tests.app.models import Novel, Writer

book_bound = Signal(name="reading.book_bound")
later = None  # a task of Celery


@pytest.fixture(autouse=True)
def on(settings):
    """Turn the check on."""
    settings.HELIOGRAPH = {"CHECK_SOURCES": True}


def found(receiver):
    """Return the ids of the warnings about a receiver."""
    return [one.id for one in check_sources(None) if one.obj == f"{__name__}.{receiver.__qualname__}"]


# --- effects ------------------------------------------------------------------------------------------------------


def mails_by_name(instance, **kwargs):
    send_mail("Hello", "...", None, [instance.email])


def mails_by_module(instance, **kwargs):
    if instance.email:
        mail.mail_admins("Hello", "...")


def mails_by_message(instance, **kwargs):
    EmailMessage("Hello", to=[instance.email]).send()


def mails_by_variable(instance, **kwargs):
    message = mail.EmailMultiAlternatives("Hello", to=[instance.email])
    message.send(fail_silently=True)


def mails_by_local_import(instance, **kwargs):
    from django.core.mail import send_mail as post

    post("Hello", "...", None, [instance.email])


def requests_a_page(instance, **kwargs):
    import requests

    return requests.post("https://example.com", json={}).json()


def requests_by_session(instance, **kwargs):
    import httpx

    with httpx.Client() as client:
        client.get("https://example.com")


def opens_a_url(instance, **kwargs):
    from urllib.request import urlopen

    urlopen("https://example.com")


def delays(instance, **kwargs):
    later.delay(instance.pk)


def applies(instance, **kwargs):
    later.s(instance.pk).apply_async(countdown=3)


EFFECTS = [
    mails_by_name,
    mails_by_module,
    mails_by_message,
    mails_by_variable,
    mails_by_local_import,
    requests_a_page,
    requests_by_session,
    opens_a_url,
    delays,
    applies,
]


@pytest.mark.parametrize("receiver", EFFECTS)
def test_an_effect_in_the_middle_of_a_save_is_reported(connect, receiver):
    connect(post_save, receiver, sender=Writer)
    assert found(receiver) == ["heliograph.W401"]


@pytest.mark.parametrize("delivery", [OnCommit(), Durable()], ids=repr)
@pytest.mark.parametrize("receiver", EFFECTS)
def test_an_effect_after_the_commit_is_right(connect, receiver, delivery):
    connect(post_save, receiver, sender=Writer, delivery=delivery)
    assert found(receiver) == []


def test_an_effect_is_reported_also_if_the_receiver_has_a_condition(connect):
    connect(post_save, delays, sender=Writer, when=created)
    assert found(delays) == ["heliograph.W401"]


def test_a_warning_says_which_receiver_where_and_what_to_write(connect):
    connect(post_save, mails_by_name, sender=Writer)
    (warning,) = [one for one in check_sources(None) if one.obj == f"{__name__}.mails_by_name"]
    line = mails_by_name.__code__.co_firstlineno + 1
    assert warning.msg == (
        f"The receiver sends mail in the middle of the send, at {__file__}:{line}: a rollback does not undo"
        " it, and the sender waits for it."
    )
    assert warning.hint == "Connect the receiver with delivery=OnCommit(), or with Durable() if it must not be lost."


def test_a_receiver_of_several_senders_has_one_warning(connect):
    connect(post_save, delays, sender=[Writer, Novel])
    assert found(delays) == ["heliograph.W401"]


def mails_after_the_commit(instance, **kwargs):
    transaction.on_commit(lambda: send_mail("Hello", "...", None, [instance.email]))
    transaction.on_commit(functools.partial(later.delay, instance.pk))

    def mail_later():
        send_mail("Hello", "...", None, [instance.email])

    transaction.on_commit(mail_later)


def has_names_like_those(instance, requests=None, **kwargs):
    instance.send_mail()
    instance.delay()
    later.delay_on_commit(3)
    mail.get_connection()
    print("send_mail()")  # later.delay()


@pytest.mark.parametrize("receiver", [mails_after_the_commit, has_names_like_those])
def test_what_is_called_later_or_is_named_alike_is_not_reported(connect, receiver):
    connect(post_save, receiver, sender=Writer)
    assert found(receiver) == []


def test_a_receiver_whose_source_cannot_be_read_is_not_reported(connect):
    names = {"send_mail": send_mail, "__name__": __name__}
    exec("def typed_in(**kwargs):\n    send_mail()", names)
    for receiver in (names["typed_in"], {}.update, lambda **kwargs: send_mail("", "", None, [])):
        connect(book_bound, receiver, weak=False)
    assert [one.obj for one in check_sources(None) if one.obj.startswith(__name__)] == []


class Mailing:
    def __call__(self, instance, **kwargs):
        send_mail("Hello", "...", None, [instance.email])

    def method(self, instance, **kwargs):
        send_mail("Hello", "...", None, [instance.email])


def test_methods_partials_and_objects_are_read_too(connect):
    owner = Mailing()
    for receiver in (owner, owner.method, functools.partial(mails_by_name, instance=None)):
        connect(book_bound, receiver, weak=False)
    assert sorted(one.obj for one in check_sources(None) if __name__ in one.obj) == [
        f"partial({__name__}.mails_by_name)",
        f"{__name__}.Mailing.__call__",
        f"{__name__}.Mailing.method",
    ]


def test_the_check_is_off_by_default(connect, settings):
    settings.HELIOGRAPH = {}
    connect(post_save, mails_by_name, sender=Writer)
    assert check_sources(None) == []


# --- saves of the own instance ----------------------------------------------------------------------------------------


def saves_again(instance, **kwargs):
    instance.name = instance.name.title()
    with transaction.atomic():
        instance.save(update_fields=["name"])


def saves_what_it_is_sent(**kwargs):
    kwargs["instance"].save()


@pytest.mark.parametrize("signal", [pre_save, post_save])
@pytest.mark.parametrize("receiver", [saves_again, saves_what_it_is_sent])
def test_a_receiver_that_always_saves_its_instance_is_reported(connect, signal, receiver):
    connect(signal, receiver, sender=Writer)
    assert found(receiver) == ["heliograph.W402"]


def test_the_warning_about_a_save_says_where_and_what_to_write(connect):
    connect(post_save, saves_again, sender=Writer)
    (warning,) = [one for one in check_sources(None) if one.obj == f"{__name__}.saves_again"]
    line = saves_again.__code__.co_firstlineno + 3
    assert warning.msg == (
        f"The receiver saves its own instance whenever the instance is saved, at {__file__}:{line}: each save"
        " is two, and the second one sends the signal again."
    )
    assert warning.hint == (
        "Set the fields on pre_save with writes=[...], or connect it with a condition: when=changed(...)."
    )


@pytest.mark.parametrize("options", [{"when": created}, {"delivery": OnCommit()}, {"delivery": Durable()}], ids=repr)
def test_a_receiver_that_saves_its_instance_sometimes_or_later_is_right(connect, options):
    connect(post_save, saves_again, sender=Writer, **options)
    assert found(saves_again) == []


def saves_if_created(instance, created, **kwargs):
    if created:
        instance.save()


def saves_unless_raw(instance, raw, **kwargs):
    if raw:
        return
    instance.save()


def saves_another(instance, **kwargs):
    instance.novel.save()


@pytest.mark.parametrize("receiver", [saves_if_created, saves_unless_raw, saves_another])
def test_a_receiver_that_looks_before_it_saves_or_saves_another_is_right(connect, receiver):
    connect(post_save, receiver, sender=Writer)
    assert found(receiver) == []


def test_a_receiver_of_another_signal_may_save_its_instance(connect):
    connect(post_delete, saves_again, sender=Writer)
    connect(book_bound, saves_again)
    assert found(saves_again) == []
