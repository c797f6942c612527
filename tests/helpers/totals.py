"""A program that lets two transactions overlap, and prints which figures came of it: `python -m tests.helpers.totals`.

The first argument says whose figures: those of the page on transactions, or those of the example shop. The second one
names what both transactions do. The first transaction has computed its figures and not committed them when the second
one computes its own.
"""

import json
import sys
import threading
from datetime import date
from pathlib import Path

import django
from django.conf import settings

from tests.settings import DATABASES

ROOT = Path(__file__).parents[2]
PATIENCE = 60  # seconds, for a thread that will not come

# How many sessions of the database wait for a lock.
BLOCKED = {
    "postgresql": (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    ),
    "mysql": (
        "SELECT count(*) FROM information_schema.innodb_trx JOIN information_schema.processlist"
        " ON id = trx_mysql_thread_id WHERE trx_state = 'LOCK WAIT' AND db = database()"
    ),
}


# --- two transactions -----------------------------------------------------------------------------------------------


class Overlap:
    """Two transactions: the second one computes its figures while the first one has computed its own."""

    def __init__(self, write_together):
        self._write_together = write_together
        self._both_have_written = threading.Barrier(2)
        self._has_computed, self._may_commit = threading.Event(), threading.Event()
        self._errors = []

    def hold(self, sender, batch, **kwargs):
        """Keep the first transaction open; a receiver that is called after those that compute figures."""
        if threading.current_thread().name == "first":
            self._has_computed.set()
            await_event(self._may_commit)

    def run(self, first, second):
        """Run both, and return the texts of their errors."""
        threads = [
            threading.Thread(target=self._guard, args=(self._lead, first), name="first"),
            threading.Thread(target=self._guard, args=(self._follow, second), name="second"),
        ]
        for thread in threads:
            thread.start()
        self._let_the_second_wait(*threads)
        self._may_commit.set()
        for thread in threads:
            thread.join()
        return self._errors

    def _guard(self, function, write):
        from django.db import connection

        try:
            function(write)
        except Exception as error:
            self._errors.append(f"{type(error).__name__}: {error}")
        finally:
            connection.close()

    def _lead(self, write):
        from django.db import transaction

        with transaction.atomic():
            write()
            if self._write_together:
                self._both_have_written.wait(PATIENCE)

    def _follow(self, write):
        from django.db import transaction

        if not self._write_together:
            await_event(self._has_computed)
        with transaction.atomic():
            write()
            if self._write_together:
                self._both_have_written.wait(PATIENCE)
                await_event(self._has_computed)

    def _let_the_second_wait(self, first, second):
        """Return when the second transaction waits for a lock; SQLite does not say so."""
        from django.db import connection

        while first.is_alive() and not self._has_computed.wait(0.01):
            pass
        # MariaDB brings its list of transactions up to date if nobody has looked at it for a tenth of a second.
        while second.is_alive() and connection.vendor in BLOCKED and not number(BLOCKED[connection.vendor]):
            second.join(0.2)


def await_event(event):
    if not event.wait(PATIENCE):
        raise TimeoutError("the other transaction did not come so far")


def number(sql):
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchone()[0]


def connect_last(overlap, signal, sender):
    from heliograph import BeforeCommit, receiver

    receiver(signal, sender=sender, delivery=BeforeCommit(batch=True))(overlap.hold)


# --- the page -------------------------------------------------------------------------------------------------------


def page(what, overlap):
    """Run the receiver of the page on two orders with two lines each."""
    from django.db import connection
    from shop.models import Line, Order

    from heliograph.signals import post_delete, post_save

    run_blocks(vars(sys.modules[Line.__module__]))
    connect_last(overlap, [post_save, post_delete], Line)
    orders = [Order.objects.create(), Order.objects.create()]
    lines = [Line.objects.create(order=order, price=10) for order in orders for _ in range(2)]
    scenarios = {
        "added": [lambda: Line.objects.create(order=orders[0], price=10)] * 2,
        "deleted": [lines[0].delete, lines[1].delete],
        "moved": [lambda: move(lines[0], orders[1]), lambda: move(lines[2], orders[0])],
    }
    errors = overlap.run(*scenarios[what])
    connection.close()
    return errors, list(Order.objects.order_by("pk").values_list("total", flat=True))


def move(line, order):
    line.order = order
    line.save()


def run_blocks(models):
    """Run the blocks of the page that define the receiver, and what these import."""
    from tests.test_docs import FILE, blocks

    code = [
        code for _, code in blocks(ROOT / "docs" / "transactions.md") if not FILE.match(code) and ">>> " not in code
    ]
    (receiver,) = [block for block in code if "def add_up(" in block]
    for block in (code[0], receiver):
        exec(block.replace("    print(", "    str("), models)


def set_up_page():
    from tests.test_docs import START, files

    for name, code in (files(START) | {"shop/receivers.py": ""} | files(ROOT / "docs" / "transactions.md")).items():
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text(code, encoding="utf-8")
    sys.path.insert(0, "")
    apps = ["heliograph", "django.contrib.contenttypes", "django.contrib.auth", "shop"]
    settings.configure(
        INSTALLED_APPS=apps, DATABASES=databases(), DEFAULT_AUTO_FIELD="django.db.models.BigAutoField", USE_TZ=True
    )


# --- the shop -------------------------------------------------------------------------------------------------------


def shop(what, overlap):
    """Let two customers, or one of them twice, order something on the same day, in a new shop."""
    from analytics.models import CustomerStatistics, DailyStatistics
    from analytics.totals import totals
    from store.models import Product
    from store.services import Line, place_order

    from heliograph.signals import post_update

    day = date(1997, 1, 1)
    customers = [join(number) for number in (1, 2)]
    products = list(Product.objects.order_by("pk")[:2])

    def order(customer, product):
        return lambda: place_order(customers[customer], day, [Line(products[product], 1000)])

    scenarios = {
        "ordered": [order(0, 0), order(1, 1)],
        "ordered again": [order(0, 0), order(0, 1)],
    }
    post_update.connect(overlap.hold, sender=DailyStatistics)  # of the last table that is updated
    errors = overlap.run(*scenarios[what])
    return errors, {
        "orders": totals().orders,
        "of the day": DailyStatistics.objects.get().orders,
        "of the customers": sum(CustomerStatistics.objects.values_list("orders", flat=True)),
    }


def join(number):
    from store.models import Customer

    return Customer.objects.create(number=number, cdnow_number=number, joined_on=date(1997, 1, 1))


def set_up_shop():
    sys.path.insert(0, str(ROOT / "examples" / "shop"))
    import config.settings

    options = config.settings.DATABASES["default"]["OPTIONS"]  # of SQLite
    config.settings.DATABASES = databases(options)
    settings.configure(**{name: value for name, value in vars(config.settings).items() if name.isupper()})


# --- both -----------------------------------------------------------------------------------------------------------


def databases(sqlite_options=None):
    """A database of its own for this program."""
    chosen = DATABASES["default"]
    if chosen["ENGINE"].endswith("sqlite3"):
        path = Path("totals.sqlite3").resolve()
        return {
            "default": {**chosen, "NAME": path, "OPTIONS": sqlite_options or chosen["OPTIONS"], "TEST": {"NAME": path}}
        }
    return {"default": {**chosen, "NAME": f"{chosen['NAME']}_totals"}}


def main(whose, what, write_together):
    {"page": set_up_page, "shop": set_up_shop}[whose]()
    django.setup()
    from django.db import connection

    name = connection.settings_dict["NAME"]
    connection.creation.create_test_db(verbosity=0, autoclobber=True)
    try:
        errors, figures = {"page": page, "shop": shop}[whose](what, Overlap(write_together))
        print(json.dumps({"errors": errors, "figures": figures}))
    finally:
        connection.creation.destroy_test_db(name, verbosity=0)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3] == "together")
