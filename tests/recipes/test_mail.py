"""Mail: a worker sends it after the commit, with one Message-ID for all attempts, beside the receiver of tutorials."""

import os
import re
import signal
from contextlib import suppress

import pytest
from django.conf import settings as project
from django.core import mail as outgoing
from django.core import serializers
from django.core.mail import DNS_NAME, send_mail
from django.core.management import call_command
from django.db import connections, transaction
from django.db.models.signals import post_save

from heliograph import Retry, changed, created, fixed, mute, trace
from heliograph.dispatch import Called
from heliograph.outbox import Again, Dead, Discarded, Succeeded, drain
from heliograph.outbox.checks import check_names
from heliograph.outbox.models import Delivery
from heliograph.recipes import mail
from heliograph.recipes.declarations import check_declarations, declarations
from heliograph.recipes.mail import check_templates
from tests.app.models import Buyer, GiftPurchase, Purchase
from tests.helpers.attempts import at_once as retry_at_once
from tests.helpers.attempts import types, wait_over
from tests.helpers.deliveries import ago
from tests.helpers.patched import patched_methods
from tests.helpers.smtp import mail_server, send_to
from tests.helpers.threads import at_once

pytestmark = pytest.mark.django_db(databases=["default", "other"])

SHIPPED = {"when": changed("status", to="shipped"), "to": "buyer.email", "template": "purchases/shipped"}


@pytest.fixture
def shipped():
    """Send a mail about each purchase that is shipped."""
    return mail(Purchase, **SHIPPED, retry=retry_at_once())


@pytest.fixture
def server(settings):
    """A mail server, to which the project sends: its mails."""
    with mail_server() as (mails, port):
        send_to(settings, port)
        yield mails


def purchase(email="ada@example.com", model=Purchase, **values):
    return model.objects.create(buyer=Buyer.objects.create(email=email), **values)


def ship(*purchases):
    for one in purchases:
        one.status = "shipped"
        one.save()


def sent():
    drain()
    return [(one.to, one.subject) for one in outgoing.outbox]


# --- each kind of write -------------------------------------------------------------------------------------------

WRITES = {
    "save": lambda one: ship(one),
    "save with update_fields": lambda one: (setattr(one, "status", "shipped"), one.save(update_fields=["status"])),
    "update": lambda one: Purchase.objects.filter(pk=one.pk).update(status="shipped"),
    "bulk_update": lambda one: (
        setattr(one, "status", "shipped"),
        Purchase.objects.bulk_update([one], ["status"]),
    ),
}


@pytest.mark.parametrize("write", WRITES)
def test_r13_each_kind_of_write_is_one_mail(shipped, write):
    one = purchase(note="tea")
    WRITES[write](one)
    assert outgoing.outbox == []
    assert sent() == [(["ada@example.com"], f"Order {one.pk} of tea")]
    one.refresh_from_db()
    one.save()
    assert len(sent()) == 1


def test_an_update_of_many_rows_is_a_mail_for_each_row_that_it_changes(shipped):
    purchase("a@example.com", status="shipped")
    purchase("b@example.com")
    purchase("c@example.com")
    Purchase.objects.update(status="shipped")
    assert [to for to, _ in sent()] == [["b@example.com"], ["c@example.com"]]


def test_new_rows_of_a_bulk_create_are_a_mail_each():
    mail("app.Purchase", when=created, to="buyer.email", template="purchases/placed")
    buyer = Buyer.objects.create(email="ada@example.com")
    Purchase.objects.bulk_create([Purchase(buyer=buyer), Purchase(buyer=buyer)])
    GiftPurchase.objects.create(buyer=buyer)
    assert len(sent()) == 3


def test_r13_what_is_rolled_back_is_no_mail(shipped):
    one, other = purchase(), purchase("b@example.com")
    with suppress(ValueError), transaction.atomic():
        ship(one)
        raise ValueError
    with transaction.atomic():
        ship(other)
        with suppress(ValueError), transaction.atomic():
            Purchase.objects.filter(pk=one.pk).update(status="shipped")
            raise ValueError
    assert [to for to, _ in sent()] == [["b@example.com"]]


def test_a_stale_copy_that_ships_again_sends_no_second_mail(shipped):
    one = purchase()
    stale = Purchase.objects.get()
    ship(one)
    ship(stale)
    assert len(sent()) == 1


@pytest.mark.django_db(databases=["default", "other"], transaction=True)
def test_r13_four_that_ship_a_row_at_once_send_one_mail(shipped):
    purchase()
    copies = [Purchase.objects.get() for _ in range(4)]
    at_once(*[lambda one=one: ship(one) for one in copies])
    assert len(sent()) == 1


def test_rows_of_a_fixture_are_no_mail(tmp_path):
    one = purchase()
    mail(Purchase, when=created, to="buyer.email", template="purchases/placed")
    fixture = tmp_path / "purchases.json"
    fixture.write_text(serializers.serialize("json", [one]))
    Purchase.objects.all().delete()
    call_command("loaddata", fixture, verbosity=0)
    assert sent() == []


def test_rows_of_another_database_are_read_there(shipped):
    buyer = Buyer.objects.using("other").create(email="there@example.com")
    one = Purchase.objects.using("other").create(buyer=buyer)
    ship(one)
    assert drain() == []
    drain("other")
    assert [one.to for one in outgoing.outbox] == [["there@example.com"]]


# --- what is in it ------------------------------------------------------------------------------------------------


def test_a_mail_has_the_row_and_what_has_changed_and_no_entities_in_its_text(shipped):
    ship(purchase(note="Ben & Jerry's"))
    drain()
    (one,) = outgoing.outbox
    assert one.subject.endswith("of Ben & Jerry's")
    assert one.body.splitlines() == ["Yes, it is on its way, Ben & Jerry's.", "It was new."]
    assert (one.alternatives, one.from_email) == ([], project.DEFAULT_FROM_EMAIL)


def test_a_template_of_html_is_an_alternative_with_entities():
    mail(Purchase, when=created, to="buyer.email", template="purchases/placed", from_email="Shop <shop@example.org>")
    purchase(note="Ben & Jerry")
    drain()
    (one,) = outgoing.outbox
    assert [(html.content.strip(), html.mimetype) for html in one.alternatives] == [
        ("<p>Thank you, Ben &amp; Jerry.</p>", "text/html")
    ]
    assert (one.body, one.from_email) == ("Thank you.\n", "Shop <shop@example.org>")
    assert re.fullmatch(r"<[0-9a-f]{32}@example\.org>", one.message()["Message-ID"])


@pytest.mark.parametrize(
    ("sender", "domain"),
    [("Shop <shop@example.org>", "example.org"), ("shop@köln.example", "xn--kln-sna.example"), ("root", str(DNS_NAME))],
)
def test_a_message_id_has_the_domain_of_the_sender_or_the_name_of_the_machine(sender, domain):
    mail(Purchase, **SHIPPED, from_email=sender)
    ship(purchase())
    drain()
    assert outgoing.outbox[0].extra_headers["Message-ID"].endswith(f"@{domain}>")


@pytest.mark.parametrize("context", [{"greeting": "hello"}, lambda one: {"greeting": f"hello {one.status}"}])
def test_the_context_may_have_more(context):
    mail(Purchase, **SHIPPED, context=context)
    ship(purchase())
    drain()
    assert ": hello" in outgoing.outbox[0].body


def test_the_address_and_the_language_may_be_functions():
    mail(
        Purchase,
        **{**SHIPPED, "to": lambda one: f"{one.note}@example.com"},
        language=lambda one: "de" if one.note == "de" else None,
    )
    ship(purchase(note="de"), purchase(note="en"))
    drain()
    assert [(one.to, one.body[:3]) for one in outgoing.outbox] == [
        (["de@example.com"], "Ja,"),
        (["en@example.com"], "Yes"),
    ]


def test_a_mail_is_in_the_language_of_its_reader():
    mail(Purchase, **SHIPPED, language="buyer.language")
    one = purchase()
    Buyer.objects.update(language="de")
    ship(one)
    drain()
    assert outgoing.outbox[0].body.startswith("Ja, ")


def test_a_mail_says_what_the_row_is_when_it_is_sent(shipped):
    one = purchase(note="old")
    ship(one)
    Purchase.objects.update(note="new")
    assert sent() == [(["ada@example.com"], f"Order {one.pk} of new")]


# --- no mail ------------------------------------------------------------------------------------------------------


def test_a_row_without_an_address_is_no_mail_and_the_log_says_so(shipped, caplog):
    caplog.set_level("INFO", "heliograph.outbox")
    one, other = purchase(email=""), Purchase.objects.create()
    ship(one, other)
    assert drain() == [
        Discarded(f"app.Purchase {one.pk} has no address"),
        Discarded(f"app.Purchase {other.pk} has no address"),
    ]
    assert f"is discarded (attempt 1): app.Purchase {one.pk} has no address" in caplog.text
    assert outgoing.outbox == []


def test_a_row_that_is_gone_is_no_mail(shipped):
    one = purchase()
    ship(one)
    Purchase.objects.all().delete()
    (outcome,) = drain()
    assert isinstance(outcome, Discarded)
    assert outgoing.outbox == []


def test_a_list_of_addresses_is_an_error_that_says_what_to_do():
    mail(Purchase, **{**SHIPPED, "to": lambda one: ["a@example.com"]}, retry=Retry(attempts=1))
    ship(purchase())
    (dead,) = drain()
    assert str(dead.error) == (
        "mail(app.Purchase, purchases/shipped): to= has given ['a@example.com'], and takes one address. Declare a mail"
        " for each reader."
    )


# --- a mail server ------------------------------------------------------------------------------------------------


def test_a_mail_reaches_the_server(shipped, server):
    ship(purchase(note="tea"))
    assert drain() == [Succeeded()]
    (one,) = server
    assert (one["To"], one.get_content().strip().splitlines()[0]) == ("ada@example.com", "Yes, it is on its way, tea.")


def test_r13_an_address_that_is_refused_is_a_dead_letter_at_once_with_the_reason(shipped, server):
    server.refuse("ada@example.com", "550 5.1.1 no such mailbox")
    ship(purchase(), purchase("bob@example.com"))
    assert types(drain()) == [Dead, Succeeded]
    dead = Delivery.objects.get(state="DEAD")
    assert (dead.attempts, dead.error) == (1, "MailRefusedError: ada@example.com: 550 5.1.1 no such mailbox")
    assert [one["To"] for one in server] == ["bob@example.com"]


def test_a_mail_that_is_refused_for_good_is_a_dead_letter_at_once(shipped, server):
    server.of_data = "554 5.7.1 looks like spam"
    ship(purchase())
    (outcome,) = drain()
    assert str(outcome.error) == "ada@example.com: 554 5.7.1 looks like spam"


@pytest.mark.parametrize("kind", ["address", "mail"])
def test_r13_what_is_refused_for_now_is_attempted_again(server, kind):
    mail(Purchase, **SHIPPED, retry=Retry(attempts=3, backoff=fixed(600)))
    if kind == "address":
        server.refuse("ada@example.com", "451 4.7.1 greylisted")
    else:
        server.of_data = "452 4.3.1 no space"
    ship(purchase())
    assert types(drain()) == [Again]
    server.answers.clear()
    server.of_data = "250 ok"
    wait_over()
    assert types(drain()) == [Succeeded]
    assert len(server) == 1


def test_r13_a_server_that_is_away_is_asked_again(settings):
    with mail_server() as (_, port):
        pass
    send_to(settings, port)
    mail(Purchase, **SHIPPED)
    ship(purchase())
    assert types(drain()) == [Again]


def test_an_answer_that_is_lost_is_a_second_mail_with_the_same_message_id(shipped, server):
    def lose_the_answer():
        server.on_mail = lambda: None
        raise ConnectionError

    server.on_mail = lose_the_answer
    ship(purchase())
    assert types(drain()) == [Again, Succeeded]
    first, second = server
    assert first["Message-ID"] == second["Message-ID"]


@pytest.mark.django_db(databases=["default", "other"], transaction=True)
def test_r13_a_worker_that_is_killed_after_the_mail_and_before_its_record_sends_it_again_with_the_same_id(
    shipped, server
):
    ship(purchase(), purchase("bob@example.com"))
    connections.close_all()
    child = os.fork()
    if not child:
        drain(limit=1)
        os._exit(0)
    server.on_mail = lambda: os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL
    server.on_mail = lambda: None
    assert [one["To"] for one in server] == ["ada@example.com"]
    Delivery.objects.filter(state="RUNNING").update(leased_until=ago(60))
    call_command("outbox", "run", "--drain", verbosity=0)
    wait_over()
    drain()
    assert sorted(one["To"] for one in server) == ["ada@example.com", "ada@example.com", "bob@example.com"]
    assert len({one["Message-ID"] for one in server}) == 2
    assert not Delivery.objects.exclude(state="SUCCESSFUL").exists()


def test_mails_of_several_rows_have_different_ids(shipped, server):
    ship(purchase(), purchase())
    drain()
    assert len({one["Message-ID"] for one in server}) == 2


# --- the declaration ----------------------------------------------------------------------------------------------


def test_r18_a_disconnected_mail_leaves_no_patch_and_no_receiver(no_kept_error):
    before = patched_methods(), [*post_save.receivers]
    declaration = mail(Purchase, **SHIPPED)
    assert (declaration.disconnect(), declaration.disconnect()) == (True, False)
    assert (patched_methods(), post_save.receivers) == before
    ship(purchase())
    assert sent() == []
    mail(Purchase, **SHIPPED)


def test_r18_a_muted_mail_is_not_sent(shipped):
    one = purchase()
    with mute(Purchase):
        ship(one)
    assert sent() == []


def test_r18_a_mail_is_seen_by_a_trace(shipped):
    one = purchase()
    ship(one)
    with trace() as traced:
        drain()
    names = [event.receiver.__name__ for event in traced.events if isinstance(event, Called)]
    assert names == ["mail(app.Purchase, purchases/shipped)"]


def test_its_receiver_is_found_by_workers(shipped):
    assert check_names(None) == []


def test_a_template_that_is_missing_is_an_error_of_the_checks(shipped):
    assert check_templates(None) == []
    declared = mail(Purchase, when=created, to="buyer.email", template="purchases/none")
    assert [(one.id, one.msg, one.hint) for one in check_templates(None)] == [
        ("heliograph.E202", f"There is no template 'purchases/none_{part}.txt'.", f"Add it: {at}")
        for at in [f"the mail is declared at {declared.line}."]
        for part in ("subject", "message")
    ]


def test_a_declaration_reads_as_it_was_written(shipped):
    assert shipped.text == (
        "mail(app.Purchase, when=changed('status', to='shipped'), to='buyer.email', template='purchases/shipped')"
    )


REFUSED = {
    "path": ({"to": "buyr.email"}, "app.Purchase has no field 'buyr' with a column. Did you mean 'buyer'?"),
    "end of a path": ({"to": "buyer.mail"}, "app.Buyer has no field 'mail' with a column. Did you mean 'email'?"),
    "number": ({"to": 5}, "5 is neither a path, such as 'customer.email', nor a function of the row."),
    "language": ({"language": "buyer.lang"}, "app.Buyer has no field 'lang' with a column."),
    "retry": ({"retry": 5}, "Durable(retry=...) takes Retry(...), not 5."),
    "function": ({"when": lambda **payload: True}, "when= takes a condition, such as created or changed("),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_declaration_that_cannot_be_right_is_refused_where_it_stands(case):
    options, text = REFUSED[case]
    with pytest.raises(TypeError, match=re.escape(text)):
        mail(Purchase, **{**SHIPPED, **options})
    assert declarations == []


def test_the_same_mail_twice_is_refused(shipped):
    with pytest.raises(TypeError, match=r"it is declared already, at .*test_mail\.py:\d+\. Take another template\."):
        mail(Purchase, **{**SHIPPED, "when": created})
    assert check_declarations(None) == []


# --- the receiver of tutorials ------------------------------------------------------------------------------------


@pytest.fixture
def tutorial(connect):
    """The receiver that most tutorials show."""

    def send(sender, instance, **kwargs):
        if instance.status == "shipped":
            send_mail("It is on its way", "...", None, [instance.buyer.email])

    connect(post_save, send, sender=Purchase)


def test_control_the_tutorials_receiver_sends_a_mail_of_what_is_rolled_back(tutorial):
    one = purchase()
    with suppress(ValueError), transaction.atomic():
        ship(one)
        raise ValueError
    assert (len(outgoing.outbox), Purchase.objects.get().status) == (1, "new")


def test_control_the_tutorials_receiver_sends_a_second_mail_at_the_next_save(tutorial):
    one = purchase()
    ship(one)
    one.save()
    assert len(outgoing.outbox) == 2


def test_control_the_tutorials_receiver_misses_an_update(tutorial):
    purchase()
    Purchase.objects.update(status="shipped")
    assert outgoing.outbox == []


def test_control_the_tutorials_receiver_fails_the_save_while_the_server_is_away(tutorial, server):
    one = purchase()
    server.refuse("ada@example.com", "451 later")
    with pytest.raises(Exception, match="451"):
        ship(one)
