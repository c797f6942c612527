"""The system check of kept fields that invite errors."""

from __future__ import annotations

from typing import Any

from django.core.checks import CheckMessage, Warning

from heliograph.recipes.kept.all_fields import kept_fields, line_of
from heliograph.recipes.kept.verdicts import warnings_of


def check_kept_fields(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Return warnings of fields that invite errors."""
    return [
        Warning(text, hint=hint, obj=f"{kept!r} ({line_of(kept.parent, kept.name)})", id="heliograph.W201")
        for kept in kept_fields()
        for text, hint in warnings_of(kept)
    ]
