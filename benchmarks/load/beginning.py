"""The databases of a run: the opened shop with its customers, once for each variant."""

import sys

import django
from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from benchmarks.load.variants import CUSTOMERS, VARIANTS
from benchmarks.made_databases import drop, make


def main() -> None:
    """Make the databases anew, or remove them if the argument says so."""
    django.setup()
    for name in _names():
        drop(connection, name)
    if sys.argv[1:] != ["remove"]:
        _make()


def _make() -> None:
    """Open the shop in the template, and copy it for each variant."""
    template, *copies = _names()
    make(connection)
    _open()
    connection.close()
    for copy in copies:
        make(connection, copy, template)


def _open() -> None:
    """Migrate, which also stocks the shop, and welcome the customers."""
    from store.models import Customer

    call_command("migrate", verbosity=0, skip_checks=True)
    today = timezone.localdate()
    Customer.objects.bulk_create(
        Customer(number=number, cdnow_number=number, joined_on=today) for number in range(1, CUSTOMERS + 1)
    )


def _names() -> list[str]:
    """Return the names of the databases, or their files; the first one is the template."""
    template = str(settings.DATABASES["default"]["NAME"])
    stem = template.removesuffix(".sqlite3").removesuffix(settings.TEMPLATE)
    return [template, *(template.replace(f"{stem}{settings.TEMPLATE}", f"{stem}{one.key}") for one in VARIANTS)]


if __name__ == "__main__":
    main()
