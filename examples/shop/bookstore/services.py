"""The actions of the bookstore, each in one transaction."""

from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.db import transaction
from django.db.models import F

from backoffice import covers
from bookstore.models import Book, Purchase
from bookstore.signals import book_bought


@transaction.atomic
def buy(reader: User, book: Book, quantity: int = 1) -> Purchase:
    """Store a purchase, and send `book_bought`; OutOfStock is raised at the end of the transaction, which is undone."""
    purchase = Purchase.objects.create(book=book, reader=reader, quantity=quantity, cents=quantity * book.cents)
    book_bought.send(sender=Purchase, purchase=purchase)
    return purchase


def cancel(purchase: Purchase) -> None:
    """Cancel a purchase: the copies and the points go back, once, however often this is called."""
    purchase.is_cancelled = True
    purchase.save(update_fields=["is_cancelled"])


def restock(book: Book, copies: int) -> None:
    """Add copies that have come in to what is there by now."""
    Book.objects.filter(pk=book.pk).update(stock=F("stock") + copies, received=F("received") + copies)


def draw_cover(book: Book, design: int) -> None:
    """Give a book a cover of its own, a file of SVG; the file of the cover before it goes after the commit."""
    drawing = covers.draw(f"{book.title} {design}")
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="16 0 68 100" width="340" height="500">{drawing}</svg>'
    book.cover = ContentFile(svg.encode(), name=f"{book.slug}.svg")
    book.save(update_fields=["cover"])
