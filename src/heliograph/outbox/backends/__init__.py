"""Backends: one module for each system whose workers can make the calls."""
