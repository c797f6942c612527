"""System checks of kept fields: declarations that were refused once models were loaded, and what deserves a warning."""

from __future__ import annotations

from typing import Any

from django.core.checks import CheckMessage, Error, Warning

from heliograph.recipes.kept.declarations import declarations
from heliograph.recipes.kept.verdicts import warnings_of


def check_kept_fields(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Return an error for each declaration that cannot be kept, and warnings of fields that invite errors."""
    errors = [
        Error(str(one.problem), hint=f"It is declared at {one.line}.", obj=one.text, id="heliograph.E201")
        for one in declarations
        if one.problem is not None
    ]
    warnings = [
        Warning(text, hint=hint, obj=f"{kept!r} ({declaration.line})", id="heliograph.W201")
        for declaration in declarations
        for kept in declaration.fields
        for text, hint in warnings_of(kept)
    ]
    return [*errors, *warnings]
