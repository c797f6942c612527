"""Readers who buy and review books, and shopkeepers who restock and feature them."""

from random import Random

from bookstore import opening, services
from bookstore.models import Author, Book, Category, Purchase, Review
from demo.traffic.onboarding import person


def open_it(random: Random) -> None:
    """Put the books on the shelves."""
    opening.open_store()


def _book(random: Random) -> Book:
    return random.choice(Book.objects.order_by("pk"))


def buy(random: Random) -> None:
    """A reader buys some copies of a book, maybe more than there are."""
    services.buy(person(random), _book(random), random.choice([1, 1, 2, 3, 12]))


def cancel(random: Random) -> None:
    """A reader cancels a purchase, maybe for the second time."""
    if purchases := Purchase.objects.order_by("pk"):
        services.cancel(random.choice(purchases))


def review(random: Random) -> None:
    """A reader reviews a book, or has done so already."""
    Review.objects.create(book=_book(random), reader=person(random), stars=random.randint(1, 5), text="As promised.")


def reconsider(random: Random) -> None:
    """A reader gives the same books other stars, by a query."""
    Review.objects.filter(reader=person(random)).update(stars=random.randint(1, 5))


def withdraw(random: Random) -> None:
    """A reader withdraws a review."""
    if reviews := Review.objects.order_by("pk"):
        random.choice(reviews).delete()


def restock(random: Random) -> None:
    """A shopkeeper puts copies on a shelf."""
    services.restock(_book(random), random.randint(1, 6))


def draw(random: Random) -> None:
    """A shopkeeper gives a book another cover."""
    services.draw_cover(_book(random), random.randrange(100))


def sort(random: Random) -> None:
    """A shopkeeper corrects who has written a book, and where it stands."""
    book = _book(random)
    book.authors.set(random.sample(list(Author.objects.order_by("pk")), 2))
    book.categories.set(random.sample(list(Category.objects.order_by("pk")), 2))


def delete_featured(random: Random) -> None:
    """A shopkeeper deletes a featured book, which is refused."""
    random.choice(Book.objects.filter(is_featured=True).order_by("pk")).delete()


def delete_mistake(random: Random) -> None:
    """A shopkeeper adds a book with a cover, and deletes it."""
    book = Book.objects.create(title="A Mistake", cents=100)
    services.draw_cover(book, 0)
    book.authors.add(random.choice(Author.objects.order_by("pk")))
    book.delete()


ACTIONS = (
    *(buy, buy, buy, cancel, review, review, review, reconsider, withdraw),
    *(restock, draw, sort, delete_featured, delete_mistake),
)
