"""The tables of the audit log, for modules that are imported before Django has loaded models."""

from __future__ import annotations

from heliograph.migrated_tables import MigratedTables

APP = "heliograph_audit"  # the label of the app

TABLES = MigratedTables(APP)
