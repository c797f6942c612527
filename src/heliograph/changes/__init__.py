"""Changes: what became of the fields of an instance since it was loaded or saved."""

from heliograph.changes.comparing import Change
from heliograph.changes.current import changes_of
from heliograph.changes.values import NO_ROW, UNKNOWN

__all__ = ["NO_ROW", "UNKNOWN", "Change", "changes_of"]
