"""The Django project that the tests run in."""

import os

from tests.helpers.databases import databases

_DATABASE = os.environ.get("HELIOGRAPH_TEST_DATABASE", "sqlite")

if _DATABASE == "mariadb":
    import pymysql

    # Django asks for mysqlclient by its version; PyMySQL speaks the same interface.
    pymysql.version_info = (2, 2, 7, "final", 0)
    pymysql.install_as_MySQLdb()

DATABASES = databases(_DATABASE)
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "heliograph",
    "heliograph.outbox",
    "heliograph.audit",
    "heliograph.recipes.search",
    "heliograph.recipes.webhooks",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "tests.app",
    "examples.tutorial",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
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

# The tables of Django's apps are made as they are now, and not by their whole history.
MIGRATION_MODULES = dict.fromkeys(("admin", "auth", "contenttypes"))

# For Django 6.1 and newer; older versions send mails by EMAIL_BACKEND.
MAILERS = {"default": {"BACKEND": "django.core.mail.backends.locmem.EmailBackend"}}

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
ROOT_URLCONF = "tests.urls"
STATIC_URL = "static/"
SECRET_KEY = "not a secret: only the tests use it"
USE_TZ = True
