"""Imports: the entries of django-auditlog, django-simple-history and django-pghistory become entries of this log.

    manage.py audit import simple_history shop.Product

A *source* reads one table of theirs, from the oldest row on, and gives a *foreign entry* for each row that says
something. `foreign_entries` has their shape, `importing_chunks` writes them: a change set for each, whose context says
where it came from, `{"imported": "auditlog shop.Product 123"}`. A second run goes on behind the last imported row.

Imported entries have numbers below zero, so that they come before the entries that the log has written itself, and no
row is imported from the time since which the log has the model itself.
"""
