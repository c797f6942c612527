"""What the tests of the admin of the audit log share."""

import pytest
from django.contrib.auth.models import Permission, User


@pytest.fixture(autouse=True)
def _urls(settings):
    settings.ROOT_URLCONF = "tests.helpers.audit_pages"


@pytest.fixture
def ada(db):
    """A user of the admin without permissions."""
    return User.objects.create_user("ada", is_staff=True)


@pytest.fixture
def allow(client, ada):
    """Give Ada permissions, log her in, and return her client."""

    def log_in(*names):
        wanted = [name.split(".") for name in names]
        found = [Permission.objects.get(content_type__app_label=app, codename=name) for app, name in wanted]
        ada.user_permissions.set(found)
        client.force_login(ada)
        return client

    return log_in


@pytest.fixture
def auditor(allow):
    """The client of somebody who may see the log, articles, writers and novels."""
    return allow("heliograph_audit.view_entry", "app.view_article", "app.view_writer", "app.view_novel")
