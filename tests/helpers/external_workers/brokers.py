"""The brokers of Celery that the tests use, and the queues there."""

import os
import uuid

from tests.helpers.brokers import URLS
from tests.helpers.databases import PREFIX

BROKERS = {
    **URLS,
    # Where nobody listens.
    "nowhere": "amqp://guest:guest@127.0.0.1:1//",
}

# Runs side by side on the same brokers have queues of their own: workers inherit the names from the tests.
QUEUE = os.environ.setdefault("HELIOGRAPH_TEST_QUEUE", f"{PREFIX}_{uuid.uuid4().hex[:8]}")
MAIL = f"{QUEUE}_mail"
