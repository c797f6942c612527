"""Imports: the entries of django-auditlog, django-simple-history and django-pghistory become entries of this log.

    manage.py audit import simple_history shop.Product

A *source* reads one table of such a package, from the oldest row on, and gives a *foreign entry* for each row that has
a change. `foreign_entries` has their shape, `importing_chunks` writes them: a change set for each, whose context says
where it came from, `{"imported": "auditlog shop.Product 123"}`. A second run goes on behind the last imported row.

Imported entries have numbers below zero, so that they come before the entries that the log has written itself. Rows
that are younger than the first entry that the log itself has of the model are not imported.
"""
