"""Rows that are sent, and the effects that their receivers leave."""

from django.db import models


class Row(models.Model):
    name = models.CharField(max_length=100)

    class Meta:
        abstract = True


class Order(Row):
    """What most scenarios send."""


class Parcel(Row):
    """Its receiver has few attempts."""


class Letter(Row):
    """Its receiver runs without a transaction."""


class Step(Row):
    """The steps with one name are to be made in their order."""


class Bill(Row):
    """Its receiver runs in workers of Celery."""


class Effect(models.Model):
    """What a receiver has done. No constraint keeps it from doing so twice: that is for the tests to count."""

    model = models.CharField(max_length=20)
    row = models.BigIntegerField()
    attempt = models.IntegerField()
    key = models.CharField(max_length=200)
    process = models.IntegerField()
