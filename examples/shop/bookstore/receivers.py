"""The receivers and recipes of the bookstore: figures, protected books, mails, loyalty points."""

from typing import Any

from django.db.models import Avg, Count, Model, OuterRef, Q, Subquery, Sum
from heliograph import Durable, changed, created, has, receiver
from heliograph.audit import audit
from heliograph.recipes import clean_up_files, ensure_related, invalidate, keep, mail, protect, reserve, unique_slug
from heliograph.signals import m2m_changes, post_save

from bookstore.models import Author, Book, Category, LoyaltyCard, Points, Purchase, Review, StockAlert
from bookstore.signals import book_bought, stock_low
from store.locks import lock

BOUGHT = has(is_cancelled=False)

KEPT = [
    unique_slug(Author, "slug", source="name"),
    unique_slug(Category, "slug", source="name"),
    unique_slug(Book, "slug", source="title"),
    keep(Book, rating=Avg("reviews__stars"), reviews_written=Count("reviews")),
    reserve(Purchase, "quantity", from_="book.stock", when=BOUGHT, total="received", low=5, low_signal=stock_low),
    protect(Book, when=Q(is_featured=True), message="Featured books stay."),
    clean_up_files(Book, "cover"),
    ensure_related(LoyaltyCard, to="reader"),
    keep(LoyaltyCard, points=Sum("entries__points", default=0)),
    invalidate(Book, lambda book: "bookstore:best"),
    mail(Review, when=created, to="reader.email", template="bookstore/thanks"),
    mail(Purchase, when=created, to="reader.email", template="bookstore/bought"),
    mail(StockAlert, when=created, to=lambda alert: "shopkeepers@example.com", template="bookstore/low"),
    *map(audit, (Book, Review, Purchase)),
]


@receiver(book_bought)
def earn_points(sender: type[Purchase], purchase: Purchase, **kwargs: Any) -> None:
    """Give the reader a point for each whole dollar."""
    Points.objects.create(card=purchase.reader.loyalty_card, purchase=purchase, points=purchase.cents // 100)


@receiver(post_save, sender=Purchase, when=changed("is_cancelled", to=True), bulk=True)
def lose_points(sender: type[Purchase], instance: Purchase, **kwargs: Any) -> None:
    """Take back the points of a purchase that is cancelled."""
    Points.objects.filter(purchase=instance).delete()


@receiver(stock_low, delivery=Durable())
def alert_shopkeepers(sender: type[Purchase], product: Book, left: int, **kwargs: Any) -> None:
    """Write an alert, in a worker; the mail about it follows from the row."""
    StockAlert.objects.create(book=product, left=left)


@receiver(m2m_changes, sender=Book.authors.through)
def count_books_of_authors(sender: type, added: frozenset, removed: frozenset, **kwargs: Any) -> None:
    """Count the books of authors who have got or lost some."""
    _count(Author, "books_written", {author for _, author in added | removed})


@receiver(m2m_changes, sender=Book.categories.through)
def count_books_of_categories(sender: type, added: frozenset, removed: frozenset, **kwargs: Any) -> None:
    """Count the books of categories into which some were put, or from which some were taken."""
    _count(Category, "books_inside", {category for _, category in added | removed})


def _count(model: type[Model], field: str, keys: set[int]) -> None:
    rows = model.objects.filter(pk__in=keys)
    lock(rows)
    counted = model.objects.filter(pk=OuterRef("pk")).annotate(count=Count("books")).values("count")
    rows.update(**{field: Subquery(counted)})
