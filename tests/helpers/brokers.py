"""The brokers that the tests of Celery use."""

import os

URLS = {
    "rabbitmq": os.environ.get("HELIOGRAPH_TEST_RABBITMQ", "amqp://guest:guest@127.0.0.1:5672//"),
    "redis": os.environ.get("HELIOGRAPH_TEST_REDIS", "redis://127.0.0.1:6379/0"),
}
