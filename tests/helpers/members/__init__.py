"""An app with a user model of its own, for a process of its own."""
