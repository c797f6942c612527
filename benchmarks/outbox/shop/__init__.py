"""The app of all projects."""
