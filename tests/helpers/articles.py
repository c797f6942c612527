"""Articles that tests save, and what receivers were given of them."""

from django.db import transaction


def save_as(article, *words):
    """Save an article with each of these numbers of words, in one transaction."""
    with transaction.atomic():
        for number in words:
            article.words = number
            article.save()


def titles(received):
    """Return the titles of the instances that a receiver was called with."""
    return [payload["instance"].title for _, payload in received]
