"""The app that has the tables of endpoints, messages and attempts."""

from importlib import import_module

from django.apps import AppConfig
from django.core.checks import register
from django.core.exceptions import ImproperlyConfigured

from heliograph.recipes.webhooks.conf import check_settings


class WebhooksConfig(AppConfig):
    """Webhooks as a Django app."""

    name = "heliograph.recipes.webhooks"
    label = "heliograph_webhooks"
    verbose_name = "Webhooks"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        register(check_settings)
        try:
            delivering = import_module(f"{self.name}.delivering")
        except ModuleNotFoundError as error:
            raise ImproperlyConfigured(
                f"'{self.name}' in INSTALLED_APPS needs {error.name}: pip install 'heliograph[webhooks]'."
            ) from error
        delivering.connect()
