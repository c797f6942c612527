"""The opening of the shop: its catalogue and stock, a statement for each table, which the receivers receive."""

from collections.abc import Iterable, Sequence
from typing import TypeVar

from django.db import transaction

from store.catalogue import OPENING_DAY, Album
from store.models import Artist, Genre, Product, Restock

Named = TypeVar("Named", Artist, Genre)

OPENING_STOCK = 40


@transaction.atomic
def stock(albums: Sequence[Album]) -> None:
    """Put so many CDs of every album on its shelves."""
    artists = _create(Artist, (album.artist for album in albums))
    products = Product.objects.bulk_create(_product(album, artists[album.artist]) for album in albums)
    _shelve(dict(zip(products, albums, strict=True)))
    restocks = (Restock(product=product, day=OPENING_DAY, quantity=OPENING_STOCK) for product in products)
    Restock.objects.bulk_create(restocks)


def _create(model: type[Named], names: Iterable[str]) -> dict[str, Named]:
    """Create a row for each of these names, in their order and once, and return them by it."""
    rows = model.objects.bulk_create(model(name=name) for name in dict.fromkeys(names))
    return {row.name: row for row in rows}


def _product(album: Album, artist: Artist) -> Product:
    return Product(artist=artist, title=album.title, year=album.year, cents=album.cents, priced_on=OPENING_DAY)


def _shelve(albums: dict[Product, Album]) -> None:
    """Put products on the shelves of their genres."""
    genres = _create(Genre, (name for album in albums.values() for name in album.genres))
    places = Product.genres.through
    pairs = ((product, genres[name]) for product, album in albums.items() for name in album.genres)
    places.objects.bulk_create(places(product=product, genre=genre) for product, genre in pairs)
