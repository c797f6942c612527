"""The tags of the templates of the audit log."""
