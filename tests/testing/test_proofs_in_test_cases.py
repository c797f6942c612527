"""The proofs in each kind of `TestCase`, where a database that a test may not use is not asked."""

import pytest
from django.core.mail import send_mail
from django.db.models.signals import post_save
from django.test import TestCase, TransactionTestCase

from heliograph import Durable, receiver
from heliograph.testing import redelivered, rolled_back
from tests.app.models import Genre, Writer


class Proofs:
    """The tests of both kinds."""

    def connect(self, function, **options):
        receiver(post_save, sender=Genre, **options)(function)
        self.addCleanup(post_save.disconnect, function, sender=Genre)

    def test_a_path_is_rolled_back_and_the_rows_of_the_test_stay(self):
        Writer.objects.create()

        assert rolled_back(Genre.objects.create) == []
        assert not Genre.objects.exists()
        assert Writer.objects.exists()

    def test_an_effect_that_stays_is_found(self):
        def welcome(**kwargs):
            send_mail("Welcome", "Hello", "shop@example.org", ["ada@example.org"])

        self.connect(welcome)

        assert [one.receiver for one in rolled_back(Genre.objects.create, raising=False)] == [welcome]

    def test_a_delivery_is_made_twice(self):
        def add(**kwargs):
            Writer.objects.create()

        self.connect(add, delivery=Durable())
        redelivered(Genre.objects.create)

        assert Writer.objects.count() == 1

    def test_a_receiver_that_is_not_the_same_twice_is_found(self):
        def add(**kwargs):
            Writer.objects.create()

        self.connect(add, delivery=Durable(atomic=False))

        with pytest.raises(AssertionError, match="Writer: 1 more of"):
            redelivered(Genre.objects.create)


class InATestCase(Proofs, TestCase): ...


class InATransactionTestCase(Proofs, TransactionTestCase): ...
