"""Calls as text, and back.

A payload is JSON. A value that JSON does not have is an object with its kind: `{"$": "date", "value": "2026-11-30"}`.
An instance is stored as a reference to its row, and loaded when the call is made. What an older release has stored can
always be read; what this release cannot read is an `UnreadableError`, and waits for one that can.
"""
