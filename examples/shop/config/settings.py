"""The shop's settings."""

import os
from datetime import timedelta
from pathlib import Path

import django

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = Path(os.environ.get("SHOP_DATA_DIR", BASE_DIR / ".data"))

# The shop answers on the loopback interface only and keeps no secrets: set both of these yourself before you copy it.
SECRET_KEY = "the-example-shop-has-no-secrets"
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]

# Off unless asked for: with DEBUG, Django remembers every query of the replay.
DEBUG = os.environ.get("SHOP_DEBUG") == "1"

INSTALLED_APPS = [
    "heliograph",  # first, so that every signal of the process is dispatched by it from the start
    "heliograph.outbox",  # the table of deliveries, and the command of its workers
    "heliograph.audit",  # the table of changes, and their history in the admin
    "heliograph.recipes.search",  # the table of the search index
    "heliograph.recipes.webhooks",  # the tables of webhooks
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "store",
    "analytics",
    "activity",
    "mailing",
    "backoffice",
    "pages",
    "onboarding",
    "bookstore",
    "payments",
    "courses",
    "blog",
    "comments",
    "demo",
]

MIDDLEWARE = [
    "heliograph.context.middleware.ContextMiddleware",  # who has caused what, also in a worker
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "pages.middleware.FlowMiddleware",  # last, so that it traces the views and not the sessions
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

SQLITE = {
    "ENGINE": "django.db.backends.sqlite3",
    "NAME": DATA_DIR / "shop.sqlite3",
    "OPTIONS": {
        # A reader never waits for a writer (WAL), and a writer takes its lock when the transaction begins: a
        # request and a worker that both read before they write would otherwise end in "database is locked".
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        "transaction_mode": "IMMEDIATE",
    },
}
# The server and the user are those of psql: PGHOST, PGUSER, PGPASSWORD and so on.
POSTGRESQL = {"ENGINE": "django.db.backends.postgresql", "NAME": os.environ.get("SHOP_POSTGRESQL")}

DATABASES = {"default": POSTGRESQL if POSTGRESQL["NAME"] else SQLITE}

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# How long after its last heartbeat a worker counts as lost. A minute is usual. The demonstration kills a worker and
# waits until another one may take its deliveries, so it takes less.
HELIOGRAPH_OUTBOX = {"default": {"LEASE": timedelta(seconds=2)}}

# With the address of a broker, such as amqp://guest:guest@127.0.0.1//, workers of Celery make all deliveries.
CELERY_BROKER_URL = os.environ.get("SHOP_BROKER")
CELERY_TASK_DEFAULT_QUEUE = "heliograph_shop"
if CELERY_BROKER_URL:
    HELIOGRAPH_OUTBOX["default"] |= {
        "BACKEND": "heliograph.outbox.backends.celery.CeleryBackend",
        "OPTIONS": {
            "APP": "config.celery:app",
            "QUEUES": {name: f"heliograph_shop_{name}" for name in ("mail", "payments", "webhooks", "wholesale")},
            "NOTIFY_AGAIN_AFTER": 5,  # seconds; a minute is usual, and this demonstration is in a hurry
        },
    }

# The endpoint of the demonstration is on this machine. Leave both out.
HELIOGRAPH_WEBHOOKS = {"ALLOW_PRIVATE": ["127.0.0.1"], "ALLOW_HTTP": True}

# The button "History" of the admin shows the audit log.
HELIOGRAPH = {"AUDIT": {"ADMIN": True}}

# Mails stay on the machine, in the database.
if django.VERSION >= (6, 1):
    MAILERS = {"default": {"BACKEND": "mailing.backend.EmailBackend"}}
else:
    EMAIL_BACKEND = "mailing.backend.EmailBackend"

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "static/"
MEDIA_URL = "media/"
MEDIA_ROOT = DATA_DIR / "media"

LOGIN_URL = "onboarding:enter"
LOGIN_REDIRECT_URL = "pages:index"
LOGOUT_REDIRECT_URL = "pages:index"
