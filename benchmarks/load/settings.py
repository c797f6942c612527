"""The settings of the shop under load: its own, with an address for orders and a mail server on this machine."""

import os
from pathlib import Path

import django
from config import settings as shop
from config.settings import *  # noqa: F403 - as settings do

from tests.helpers.databases import PREFIX, SERVERS

TEMPLATE = "template"  # the database of which each variant has a copy
VARIANT = os.environ["HELIOGRAPH_LOAD_VARIANT"]
IS_TEMPLATE = VARIANT == TEMPLATE

FOLDER = Path(os.environ["SHOP_DATA_DIR"])
# A template that is lost in a power cut is made again; the others are as durable as the shop has them.
HURRY = {"init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF;"} if IS_TEMPLATE else {}
SQLITE = shop.SQLITE | {
    "NAME": FOLDER / f"{VARIANT}.sqlite3",
    "OPTIONS": {**shop.SQLITE["OPTIONS"], "timeout": 60, **HURRY},
}
POSTGRESQL = SERVERS["postgresql"] | {
    "NAME": f"{PREFIX}_load_{VARIANT}",
    "OPTIONS": SERVERS["postgresql"]["OPTIONS"] if IS_TEMPLATE else {},
}
DATABASES = {
    "default": {
        **{"sqlite": SQLITE, "postgresql": POSTGRESQL}[os.environ["HELIOGRAPH_LOAD_DATABASE"]],
        "CONN_MAX_AGE": None,  # a thread of the server keeps its connection
    }
}

INSTALLED_APPS = [*shop.INSTALLED_APPS, "benchmarks.load.checkout"]
# Without the trace of each action, which is there for visitors of the demonstration.
MIDDLEWARE = [name for name in shop.MIDDLEWARE if name != "pages.middleware.FlowMiddleware"]
ROOT_URLCONF = "benchmarks.load.checkout.urls"

# The lease of a minute that is usual; the shop's own is short for its demonstration.
HELIOGRAPH_OUTBOX = {"default": {}}

MAIL_SERVER = {"host": "127.0.0.1", "port": int(os.environ.get("HELIOGRAPH_LOAD_MAILS", "25"))}
if django.VERSION >= (6, 1):
    MAILERS = {"default": {"BACKEND": "django.core.mail.backends.smtp.EmailBackend", "OPTIONS": MAIL_SERVER}}
else:
    EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    EMAIL_HOST, EMAIL_PORT = MAIL_SERVER["host"], MAIL_SERVER["port"]
