"""The shop's settings and addresses."""
