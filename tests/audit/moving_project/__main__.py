"""A project that moves to the audit log from another package: `python -m tests.audit.moving_project PACKAGE`.

It has a database of its own, writes rows while the package follows them, imports, and prints what there is as JSON.
With `--kill`, the import is killed again and again, each time a little later, and is run again to its end.
"""

import contextlib
import io
import json
import os
import sys
from itertools import count

import django
from django.conf import settings

from tests.helpers.databases import PREFIX, SERVERS, SQLITE_FOLDER

PACKAGE, KILLS = sys.argv[1], "--kill" in sys.argv
KIND = os.environ.get("HELIOGRAPH_TEST_DATABASE", "sqlite")
_NAME = f"{PREFIX}_moving_{PACKAGE}{'_killed' if KILLS else ''}"
_FILE = str(SQLITE_FOLDER / f"{_NAME}.sqlite3") if KILLS else ":memory:"  # a process that is killed needs a file

if KIND == "mariadb":
    import pymysql

    pymysql.version_info = (2, 2, 7, "final", 0)
    pymysql.install_as_MySQLdb()

settings.configure(
    DATABASES={
        "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:", "TEST": {"NAME": _FILE}}
        if KIND == "sqlite"
        else {**SERVERS[KIND], "NAME": _NAME, "TEST": {"NAME": _NAME, "CHARSET": None}}
    },
    INSTALLED_APPS=[
        "heliograph",
        "heliograph.audit",
        "django.contrib.auth",
        "django.contrib.contenttypes",
        *({"pghistory": ["pgtrigger", "pghistory"]}.get(PACKAGE, [PACKAGE])),
        "tests.audit.moving_project.shop",
    ],
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    # Historical models refer to users, and tables without migrations are made first.
    MIGRATION_MODULES=dict.fromkeys(("auth", "contenttypes", "shop") if PACKAGE == "simple_history" else ("shop",)),
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    SECRET_KEY="not a secret: only the tests use it",
    USE_TZ=True,
)
django.setup()

from django.contrib.auth.models import User  # noqa: E402 - after the setup
from django.db import connection, connections  # noqa: E402
from django.utils.timezone import now  # noqa: E402

from heliograph.audit import as_of, audit, history  # noqa: E402
from heliograph.audit.chain import rows  # noqa: E402
from heliograph.audit.importing import from_auditlog, from_snapshots, import_verb  # noqa: E402
from heliograph.audit.models import ChangeSet, Entry  # noqa: E402
from tests.audit.moving_project.shop.models import Product, Tag  # noqa: E402
from tests.helpers.killing import STRIDES, place_of_death  # noqa: E402


def acting(user):
    """Return the block in which the package takes a user for the actor."""
    if PACKAGE == "auditlog":
        from auditlog.context import set_actor

        return set_actor(user)
    if PACKAGE == "pghistory":
        import pghistory

        return pghistory.context(user=user.pk, reason="new prices")
    return contextlib.nullcontext()


def write():
    """Write rows while the package follows them; return a moment in between."""
    ada = User.objects.create(username="ada")
    with acting(ada):
        product = Product(name="tea", price="1.50")
        product._history_user, product._change_reason = ada, "new prices"
        product.save()
    product.price, product.note = "2.00", "fresh"
    product.save()
    moment = now()
    product.price, product.sold_at = "3.00", moment
    product.save()
    if PACKAGE == "auditlog":
        product.tags.add(Tag.objects.create(name="green"))
    gone = Product.objects.create(name="gone")
    gone.delete()
    return product, moment


def run(*arguments):
    """Run the verb, and return what it says."""
    command = type("Command", (), {"stdout": type("Out", (), {"write": lambda self, text: lines.append(text)})()})()
    lines = []
    parser = __import__("argparse").ArgumentParser()
    import_verb.add_arguments(parser)
    import_verb.run(command, {"database": "default", **vars(parser.parse_args([PACKAGE, *arguments]))})
    return "\n".join(lines)


def told():
    """Return all entries, the oldest first."""
    return [
        {
            "action": one.action,
            "object": one.object,
            "text": json.loads(one.text),
            "actor": one.actor,
            "actor_label": one.actor_label,
            "reason": one.reason,
            "context": json.loads(one.change_set.context or "{}"),
            "is_below_zero": one.pk < 0,
        }
        for one in history(Product).reverse()
    ]


def in_small_chunks():
    """Let an import write so few entries at once that it has several chunks."""
    from_auditlog.CHUNK = from_snapshots.CHUNK = 2


class Import:
    """An import, in the form in which a process is killed."""

    def save(self):
        run()


EVERY = 40  # of the steps at which an import may be killed, every so many-th is one


def kill():
    """Kill an import at each step; return how many entries there were then, and all that there are after another."""
    write()
    audit(Product)
    in_small_chunks()
    run()
    expected, found = told(), []
    for number in count(1, EVERY):
        for model in (Entry, ChangeSet):
            rows(model, "default").all()._raw_delete("default")
        connections.close_all()
        if not place_of_death("an import", number, lambda name: Import(), 3 * STRIDES[connection.vendor]):
            return {"expected": expected, "found": found}
        found.append({"killed": len(told()), "finished": (run(), told())[1], "sets": ChangeSet.objects.count()})
    return None


def report():
    product, moment = write()
    audit(Product)
    dry = run("shop.Product", "--dry-run")
    after_dry = Entry.objects.count()
    in_small_chunks()
    first = run()
    entries = told()
    second, again = run(), Entry.objects.count()
    product.price = "4.00"
    product.save()  # both logs follow it
    third, own = run(), told()[-1]
    was = as_of(product, moment)
    return {
        "dry": dry,
        "after_dry": after_dry,
        "first": first,
        "entries": entries,
        "second": second,
        "again": again,
        "third": third,
        "own": own,
        "price_then": str(was.price),
        "sets": ChangeSet.objects.count(),
        "times": [one.at.isoformat() for one in history(Product).reverse()],
    }


def main():
    with contextlib.redirect_stdout(io.StringIO()):
        connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
        try:
            found = kill() if KILLS else report()
        finally:
            connection.creation.destroy_test_db("unused", verbosity=0)
    print(json.dumps(found))


main()
