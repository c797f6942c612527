"""The Django app that connects the receivers in the processes of the project."""

import os

from django.apps import AppConfig


class FleetConfig(AppConfig):
    name = "tests.helpers.external_workers"
    label = "external"

    def ready(self):
        from heliograph import add_observer
        from heliograph.outbox.events import DeliveryEvent
        from tests.helpers.external_workers import process, receivers

        add_observer(receivers.log_delivery, DeliveryEvent)

        is_sender = os.environ.get(process.ROLE) == "sender"
        receivers.connect_all(receivers.IN_SENDERS if is_sender else receivers.IN_WORKERS)
