"""The models of books, to which other models of the tests refer."""

import django
from django.db import models


class Named(models.Model):
    name = models.CharField(max_length=50)

    class Meta:
        abstract = True


class Writer(Named):
    pass


class Genre(Named):
    pass


class Novel(Named):
    writer = models.ForeignKey(Writer, models.CASCADE, null=True, related_name="novels")
    genres = models.ManyToManyField(Genre, related_name="novels")
    readers = models.ManyToManyField(Writer, through="Reading", related_name="read")


class Reprint(Novel):
    class Meta:
        proxy = True


class Audiobook(Novel):
    minutes = models.IntegerField(default=0)


class Reading(models.Model):
    novel = models.ForeignKey(Novel, models.CASCADE)
    reader = models.ForeignKey(Writer, models.CASCADE)
    stars = models.IntegerField(default=0)


class Review(models.Model):
    novel = models.ForeignKey(Novel, models.SET_NULL, null=True)


class Page(models.Model):
    pass


if django.VERSION >= (6, 1):

    class Footnote(models.Model):
        page = models.ForeignKey(Page, models.DB_CASCADE)
