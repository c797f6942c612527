"""The page that shows what the signals did in the replay."""

from typing import Any

from django.views.generic import TemplateView

from demo.recording import Recording


class SignalsView(TemplateView):
    """What every signal sent, and which receivers ran."""

    template_name = "demo/signals.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Add the recording of the last replay."""
        return super().get_context_data(recording=Recording.load(), **kwargs)
