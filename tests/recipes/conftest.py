"""What the tests of recipes share."""

from contextlib import ExitStack

import pytest

from heliograph.recipes.declarations import declarations
from heliograph.recipes.webhooks.models import Endpoint
from tests.helpers.endpoints import serving
from tests.helpers.keeping import Keeping


@pytest.fixture(autouse=True)
def _nothing_stays():
    """Disconnect what a test has declared."""
    yield
    for one in declarations[:]:
        one.disconnect()


@pytest.fixture
def keeping():
    """Keep fields for the time of a test: `keeping.keep(Cart, items_count=Count("items"))`."""
    with Keeping() as keeping:
        yield keeping


# --- webhooks -----------------------------------------------------------------------------------------------------


@pytest.fixture
def webhooks_here(settings):
    """Let webhooks call this machine, and without TLS: `webhooks_here(TIMEOUT=1)` adds settings."""

    def allow(**options):
        settings.HELIOGRAPH_WEBHOOKS = {"ALLOW_PRIVATE": ["127.0.0.0/8"], "ALLOW_HTTP": True, **options}

    allow()
    return allow


@pytest.fixture
def serve(webhooks_here):
    """Start an endpoint for the time of a test: a server, and its row."""
    with ExitStack() as stack:

        def serve(context=None, **values):
            server = stack.enter_context(serving(context))
            return server, Endpoint.objects.create(**{"url": server.url(), **values})

        yield serve
