"""The mails: who gets one, and when."""

from datetime import date

from django.core import mail
from django.db import transaction
from django.test import TestCase
from heliograph.outbox import Discarded, drain

from mailing.backend import EmailBackend
from mailing.models import Mail
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
        drain()
        (letter,) = mail.outbox
        self.assertEqual(letter.to, ["customer-1@example.com"])
        self.assertEqual(letter.subject, "Your order of 01 Jan 1997: 2 CDs for $29.33")
        self.assertIn("$14.66  Night Ferry", letter.body)

    def test_by_a_worker_and_once(self):
        self.order()
        self.assertEqual(mail.outbox, [])
        self.assertEqual((len(drain()), len(drain())), (1, 0))
        self.assertEqual(len(mail.outbox), 1)

    def test_an_order_that_is_rolled_back_is_not_confirmed(self):
        with transaction.atomic():
            self.order()
            transaction.set_rollback(True)
        self.assertEqual((drain(), mail.outbox), ([], []))

    def test_nor_is_one_that_is_cancelled_before_a_worker_comes(self):
        cancel_order(self.order())
        (outcome,) = drain()
        self.assertIsInstance(outcome, Discarded)
        self.assertEqual(mail.outbox, [])


class BackendTests(TestCase):
    def test_mails_are_stored_as_they_were_sent(self):
        letters = [mail.EmailMessage("Hello", f"Dear {name},\nhello!", to=[name]) for name in ("ada", "bob")]
        self.assertEqual(EmailBackend().send_messages(letters), 2)
        self.assertEqual(
            list(Mail.objects.values_list("to", "subject", "body")),
            [(name, "Hello", f"Dear {name},\nhello!") for name in ("ada", "bob")],
        )

    def test_those_of_a_transaction_that_is_rolled_back_are_not(self):
        with transaction.atomic():
            EmailBackend().send_messages([mail.EmailMessage("Hello", to=["ada"])])
            transaction.set_rollback(True)
        self.assertFalse(Mail.objects.exists())
