"""The best books, which are computed when they are asked for and kept in the cache until a book changes."""

from heliograph.recipes import cached

from bookstore.models import Book

MOST = 4


def best_books() -> list[tuple[str, str, float]]:
    """Return title, address and rating of the books that readers like best."""
    return cached("bookstore:best", _compute, timeout=3600)


def _compute() -> list[tuple[str, str, float]]:
    rated = Book.objects.filter(rating__isnull=False).order_by("-rating", "-reviews_written", "title")
    return [(book.title, book.get_absolute_url(), book.rating) for book in rated[:MOST]]
