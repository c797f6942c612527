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
    "demo",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
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

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": DATA_DIR / "shop.sqlite3",
        "OPTIONS": {
            # A reader never waits for a writer (WAL), and a writer takes its lock when the transaction begins: a
            # request and a worker that both read before they write would otherwise end in "database is locked".
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
            "transaction_mode": "IMMEDIATE",
        },
    },
}

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# How long after its last sign a worker counts as lost. A minute is usual; the demonstration, which kills one and waits
# for what that had in its hands, is in a hurry.
HELIOGRAPH_OUTBOX = {"default": {"LEASE": timedelta(seconds=2)}}

# Mails stay on the machine, in the database.
if django.VERSION >= (6, 1):
    MAILERS = {"default": {"BACKEND": "mailing.backend.EmailBackend"}}
else:
    EMAIL_BACKEND = "mailing.backend.EmailBackend"

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "static/"
