"""Payments of books: charged once, refused for good, refunded once."""
