"""The payments: a card is charged once, refused for good, and given its money back once."""

from datetime import timedelta
from io import StringIO

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.db import transaction
from django.test import TestCase
from heliograph import mute
from heliograph.audit import history
from heliograph.outbox import Again, Dead, Discarded, Succeeded, drain
from heliograph.testing import OutboxTests, redelivered

from bookstore.models import Book, Points, Purchase
from bookstore.services import buy, cancel
from payments import provider, receivers, services
from payments.models import Card, Charge, Payment


def redeliver(state: str) -> None:
    charges = {"receiver": ["payments.receivers.charge"], "state": [state], "stdout": StringIO()}
    call_command("outbox", "redeliver", interactive=False, reason="a test", **charges)


class PaymentTestCase(OutboxTests, TestCase):
    @classmethod
    def setUpTestData(cls):
        cls.ada, cls.ben = (User.objects.create_user(name, f"{name}@example.com") for name in ("ada", "ben"))
        cls.book = Book.objects.create(title="Salt and Copper", cents=1350, stock=10, received=10)
        cls.purchase = buy(cls.ada, cls.book, 2)
        drain()

    def pay(self, card: str) -> Payment:
        return services.pay(self.purchase, card)

    def work(self) -> list:
        return self.outbox.drain(until=timedelta(minutes=1), raising=False)

    def charged(self) -> list[int]:
        """Return the cents of each charge and refund, without the lines of 0 cents for charges that were withdrawn."""
        return list(Charge.objects.exclude(cents=0).order_by("pk").values_list("cents", flat=True))

    def status(self) -> str:
        return Payment.objects.get(purchase=self.purchase).status


class ChargeTests(PaymentTestCase):
    def test_a_purchase_is_paid_by_a_worker_and_not_before(self):
        self.pay(Card.GOOD)
        self.assertEqual((self.status(), self.charged()), ("waiting", []))
        self.work()
        self.assertEqual((self.status(), self.charged()), ("paid", [2700]))

    def test_a_card_is_charged_once_though_the_first_answer_was_lost(self):
        self.pay(Card.ANSWER_LOST)
        lost, answered = self.work()
        self.assertIsInstance(lost, Again)
        self.assertIsInstance(lost.error, provider.AnswerLostError)
        self.assertIsInstance(answered, Succeeded)
        self.assertEqual((self.status(), self.charged()), ("paid", [2700]))

    def test_a_retry_without_the_key_would_charge_twice(self):
        with self.assertRaises(provider.AnswerLostError):
            provider.charge(Card.ANSWER_LOST, 2700, "purchase 1", key="one")
        provider.charge(Card.ANSWER_LOST, 2700, "purchase 1", key="one")
        self.assertEqual(self.charged(), [2700])
        with self.assertRaises(provider.AnswerLostError):
            provider.charge(Card.ANSWER_LOST, 2700, "purchase 1", key="another")
        self.assertEqual(self.charged(), [2700, 2700])

    def test_a_worker_that_dies_after_the_charge_leaves_it_to_another_one_which_charges_nothing(self):
        with mute(receivers.refund):
            (proof,) = redelivered(lambda: self.pay(Card.GOOD))
        self.assertEqual((proof.receiver, proof.differences), (receivers.charge, ()))
        self.assertEqual(self.charged(), [2700])

    def test_a_second_click_pays_nothing(self):
        self.assertEqual(self.pay(Card.GOOD), self.pay(Card.ANSWER_LOST))
        self.work()
        self.assertEqual(self.charged(), [2700])

    def test_a_payment_that_is_rolled_back_charges_nothing(self):
        with transaction.atomic():
            self.pay(Card.GOOD)
            transaction.set_rollback(True)
        self.assertEqual((self.work(), self.charged()), ([], []))

    def test_the_history_of_a_payment_says_when_it_was_paid(self):
        payment = self.pay(Card.GOOD)
        self.work()
        (entry,) = history(payment).changing("status").actions("updated")
        self.assertEqual((entry.changes["status"].old, entry.changes["status"].new), ("waiting", "paid"))


class RefusalTests(PaymentTestCase):
    def test_a_refused_card_is_charged_nothing_and_not_asked_again(self):
        self.pay(Card.REFUSED)
        outcomes = self.work()
        self.assertEqual(outcomes[0], Discarded("The bank refuses this card."))
        self.assertFalse([outcome for outcome in outcomes if isinstance(outcome, Again)])
        self.assertEqual((self.status(), self.charged()), ("refused", []))

    def test_its_purchase_is_cancelled_and_gives_copies_and_points_back(self):
        self.assertEqual(Points.objects.count(), 1)
        self.pay(Card.REFUSED)
        self.work()
        self.assertTrue(Purchase.objects.get().is_cancelled)
        self.assertEqual((Book.objects.get(pk=self.book.pk).stock, Points.objects.count()), (10, 0))


class RefundTests(PaymentTestCase):
    def cancel(self) -> None:
        cancel(Purchase.objects.get(pk=self.purchase.pk))

    def test_a_paid_purchase_that_is_cancelled_is_refunded(self):
        self.pay(Card.GOOD)
        self.work()
        self.cancel()
        self.work()
        self.assertEqual((self.status(), self.charged()), ("refunded", [2700, -2700]))

    def test_also_one_that_is_cancelled_by_a_query_and_whose_answers_are_lost(self):
        self.pay(Card.ANSWER_LOST)
        self.work()
        Purchase.objects.update(is_cancelled=True)
        self.assertEqual([type(outcome) for outcome in self.work()], [Again, Succeeded])
        self.assertEqual((self.status(), self.charged()), ("refunded", [2700, -2700]))

    def test_it_is_refunded_once_though_the_refund_is_delivered_twice(self):
        self.pay(Card.GOOD)
        self.work()
        (proof,) = redelivered(self.cancel)
        self.assertEqual((proof.receiver, proof.differences), (receivers.refund, ()))
        self.assertEqual((self.status(), self.charged()), ("refunded", [2700, -2700]))

    def test_or_though_somebody_redelivers_it_by_hand(self):
        self.pay(Card.GOOD)
        self.work()
        redelivered(self.cancel, by_hand=True)
        self.assertEqual(self.charged(), [2700, -2700])

    def test_two_clicks_on_cancel_refund_once(self):
        self.pay(Card.GOOD)
        self.work()
        for click in [Purchase.objects.get(), Purchase.objects.get()]:
            cancel(click)
        self.work()
        self.assertEqual(self.charged(), [2700, -2700])

    def test_a_purchase_that_was_cancelled_twice_is_refunded_once_though_the_first_answer_is_lost(self):
        self.pay(Card.ANSWER_LOST)
        self.work()
        for is_cancelled in (True, False, True):
            Purchase.objects.update(is_cancelled=is_cancelled)
        self.assertEqual([type(outcome) for outcome in self.work()], [Again, Succeeded, Discarded])
        self.assertEqual(self.charged(), [2700, -2700])

    def test_a_charge_that_somebody_redelivers_after_the_refund_changes_nothing(self):
        self.pay(Card.GOOD)
        self.work()
        self.cancel()
        self.work()
        redeliver("SUCCESSFUL")
        self.assertEqual([type(outcome) for outcome in self.work()], [Succeeded])
        self.assertEqual((self.status(), self.charged()), ("refunded", [2700, -2700]))

    def test_what_is_cancelled_before_the_shop_has_an_answer_is_charged_once_and_refunded(self):
        self.pay(Card.ANSWER_LOST)
        self.cancel()
        outcomes = [type(outcome) for outcome in self.work()]
        self.assertEqual(outcomes, [Again, Again, Succeeded, Succeeded])
        self.assertEqual((self.status(), self.charged()), ("refunded", [2700, -2700]))

    def test_what_was_never_paid_is_not_refunded(self):
        self.cancel()
        self.assertEqual(self.work(), [Discarded("There is nothing to give back.")])
        self.assertEqual(self.charged(), [])

    def test_nothing_is_refunded_if_all_attempts_of_the_charge_have_failed(self):
        self.pay(Card.BANK_AWAY)
        *attempts, dead = self.work()
        self.assertEqual(({*map(type, attempts)}, type(dead)), ({Again}, Dead))
        self.cancel()
        self.assertEqual(self.work(), [Discarded("There is nothing to give back.")])
        self.assertEqual((self.status(), self.charged()), ("withdrawn", []))

    def test_a_dead_charge_that_somebody_redelivers_after_that_charges_nothing(self):
        self.pay(Card.BANK_AWAY)
        self.work()
        self.cancel()
        self.work()
        Payment.objects.update(card=Card.GOOD)  # the bank is back
        redeliver("DEAD")
        self.assertEqual(self.work(), [Discarded("The shop has withdrawn this charge.")])
        self.assertEqual((self.status(), self.charged()), ("withdrawn", []))

    def test_a_charge_that_comes_after_the_refund_charges_nothing(self):
        self.pay(Card.GOOD)
        self.cancel()
        services.withdraw(Payment.objects.get())
        self.assertEqual([type(outcome) for outcome in self.work()], [Discarded, Discarded])
        self.assertEqual((self.status(), self.charged()), ("withdrawn", []))

    def test_what_was_charged_is_refunded_though_the_charge_was_given_up_before_it_had_an_answer(self):
        self.pay(Card.ANSWER_LOST)
        drain()
        call_command("outbox", "discard", state=["READY"], interactive=False, reason="a test", stdout=StringIO())
        self.assertEqual((self.status(), self.charged()), ("waiting", [2700]))
        self.cancel()
        self.assertEqual([type(outcome) for outcome in self.work()], [Again, Succeeded])
        self.assertEqual((self.status(), self.charged()), ("refunded", [2700, -2700]))

    def test_nobody_pays_what_is_cancelled(self):
        self.cancel()
        with self.assertRaisesMessage(ValidationError, "2 x Salt and Copper is cancelled."):
            self.pay(Card.GOOD)


class PageTests(PaymentTestCase):
    def setUp(self):
        super().setUp()
        self.client.force_login(self.ada)

    def send(self, card: str):
        return self.client.post(f"/payments/{self.purchase.pk}/pay/", {"card": card, "action": "pay"}, follow=True)

    def pages(self):
        return [self.client.get(path) for path in ("/payments/", self.book.get_absolute_url())]

    def test_a_purchase_offers_the_cards_until_it_is_paid(self):
        for page in self.pages():
            self.assertContains(page, "A card whose first answer is lost")
        self.assertContains(self.send("answer lost"), "waiting for payment")
        self.work()
        for page in self.pages():
            self.assertContains(page, '<span class="badge">paid</span>')
            self.assertNotContains(page, "A card whose first answer is lost")

    def test_the_pages_say_that_a_card_was_refused_or_refunded(self):
        self.send("refused")
        self.work()
        for page in self.pages():
            self.assertContains(page, '<span class="badge">refused</span>')
            self.assertContains(page, '<span class="badge">cancelled</span>')

    def test_the_pages_say_that_nothing_was_charged_for_what_was_cancelled_while_the_bank_was_away(self):
        self.send("away")
        self.work()
        self.assertContains(self.pages()[0], '<span class="badge">waiting for payment</span>')
        self.client.post(f"/books/purchases/{self.purchase.pk}/cancel/")
        self.work()
        for page in self.pages():
            self.assertContains(page, '<span class="badge">not charged</span>')
            self.assertContains(page, '<span class="badge">cancelled</span>')
        self.assertContains(self.pages()[0], f"<b>nothing</b> for purchase {self.purchase.pk}")

    def test_the_book_of_the_service_has_a_charge_and_its_refund(self):
        self.send("good")
        self.work()
        self.client.post(f"/books/purchases/{self.purchase.pk}/cancel/")
        self.work()
        page = self.client.get("/payments/")
        for text in ("$27.00", "-$27.00", "refunded"):
            self.assertContains(page, text)

    def test_a_visitor_pays_no_purchase_of_others_and_none_without_a_card(self):
        self.assertContains(self.send("gold"), "Choose one of the list.")
        self.client.force_login(self.ben)
        self.assertEqual(self.send("good").status_code, 404)
        self.assertFalse(Payment.objects.exists())

    def test_a_visitor_who_pays_what_was_cancelled_is_told_so(self):
        cancel(self.purchase)
        self.assertContains(self.send("good"), "2 x Salt and Copper is cancelled.")

    def test_the_page_answers_also_to_whoever_is_not_signed_in(self):
        self.client.logout()
        self.assertContains(self.client.get("/payments/"), "Nothing was charged yet.")
