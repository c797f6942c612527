"""The books with which the store opens; all of them are invented."""

from django.db import transaction

from bookstore import services
from bookstore.models import Author, Book, Category

OPENING_STOCK = 12

# Title, authors, categories, cents.
BOOKS = [
    ("A Mirror on the Hill", ["Ada Winter"], ["History", "Engineering"], 2450),
    ("Signals Before the Storm", ["Ben Okoro", "Ada Winter"], ["Engineering"], 3200),
    ("The Lamplighter's Daughter", ["Mira Solberg"], ["Novels"], 1690),
    ("Eleven Ways to Cross a River", ["Jun Takeda"], ["Novels", "Travel"], 1499),
    ("Notes from the Night Train", ["Clara Voss"], ["Travel"], 1850),
    ("How Bridges Fail", ["Ben Okoro"], ["Engineering"], 4100),
    ("The Cartographer's Mistake", ["Jun Takeda", "Clara Voss"], ["Novels", "History"], 1799),
    ("Salt and Copper", ["Mira Solberg"], ["Novels"], 1350),
    ("A Short History of Waiting", ["Clara Voss"], ["History"], 2100),
    ("Tables for Two Hundred", ["Ines Duarte"], ["Cooking"], 2899),
    ("The Patient Gardener", ["Ines Duarte"], ["Cooking", "Travel"], 2250),
    ("Once, at Least", ["Ada Winter"], ["Novels"], 1590),
]
FEATURED = {"A Mirror on the Hill", "Once, at Least"}


@transaction.atomic
def open_store() -> None:
    """Put all books on the shelves, with covers."""
    for title, authors, categories, cents in BOOKS:
        book = Book.objects.create(
            title=title,
            cents=cents,
            stock=OPENING_STOCK,
            received=OPENING_STOCK,
            is_featured=title in FEATURED,
        )
        book.authors.set(_named(Author, authors))
        book.categories.set(_named(Category, categories))
        services.draw_cover(book, design=0)


def _named(model: type[Author | Category], names: list[str]) -> list[Author | Category]:
    return [model.objects.get_or_create(name=name)[0] for name in names]
