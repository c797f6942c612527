"""The blog: posts that are published, found, and announced to followers."""
