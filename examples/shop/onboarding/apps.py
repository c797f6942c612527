"""The configuration of onboarding."""

from django.apps import AppConfig


class OnboardingConfig(AppConfig):
    """Registration, and what each new user has from then on."""

    name = "onboarding"

    def ready(self) -> None:
        """Connect the receivers."""
        from onboarding import receivers  # noqa: F401 - to connect them
