"""The mails: who gets one, and when."""

from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

from django.core import mail
from django.db import transaction
from django.test import SimpleTestCase, TestCase, override_settings

from mailing import outbox
from store.models import Customer, Order, Product
from store.services import Line, cancel_order, place_order

DAY = date(1997, 1, 1)


class ConfirmationTests(TestCase):
    @classmethod
    def setUpTestData(cls):
        cls.customer = Customer.objects.create(number=1, cdnow_number=4, joined_on=DAY)
        cls.product = Product.objects.get(slug="night-ferry")

    def order(self) -> Order:
        return place_order(self.customer, DAY, [Line(self.product, 1467), Line(self.product, 1466)])

    def test_an_order_is_confirmed_with_what_it_comes_to(self):
        self.order()
        (letter,) = mail.outbox
        self.assertEqual(letter.to, ["customer-1@example.com"])
        self.assertEqual(letter.subject, "Your order of 01 Jan 1997: 2 CDs for $29.33")
        self.assertIn("$14.66  Night Ferry", letter.body)

    def test_not_before_it_is_committed(self):
        with transaction.atomic():
            self.order()
            self.assertEqual(mail.outbox, [])
        self.assertEqual(len(mail.outbox), 1)

    def test_an_order_that_is_rolled_back_is_not_confirmed(self):
        with transaction.atomic():
            self.order()
            transaction.set_rollback(True)
        self.assertEqual(mail.outbox, [])

    def test_nor_is_one_that_is_cancelled_in_the_same_transaction(self):
        with transaction.atomic():
            cancel_order(self.order())
        self.assertEqual(mail.outbox, [])


class OutboxTests(SimpleTestCase):
    def setUp(self):
        folder = Path(self.enterContext(TemporaryDirectory()))
        self.enterContext(override_settings(MAILS=folder / "mails.jsonl"))

    def test_mails_are_read_as_they_were_sent(self):
        letters = [mail.EmailMessage("Hello", f"Dear {name},\nhello!", to=[name]) for name in ("ada", "bob")]
        self.assertEqual(outbox.EmailBackend().send_messages(letters), 2)
        self.assertEqual(
            list(outbox.read()),
            [{"to": [name], "subject": "Hello", "body": f"Dear {name},\nhello!"} for name in ("ada", "bob")],
        )

    def test_there_are_none_before_the_first_and_after_all_are_thrown_away(self):
        outbox.clear()
        outbox.EmailBackend().send_messages([mail.EmailMessage("Hello", to=["ada"])])
        outbox.clear()
        self.assertEqual(list(outbox.read()), [])
