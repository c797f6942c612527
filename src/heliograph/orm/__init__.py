"""The patches of Django: each method that Heliograph patches is declared here, once, and put back when nobody needs it.

Django has no place where one can ask what a save has changed, or be called before a commit. So Heliograph puts *steps*
around methods of Django: functions that get the call, and go on with it. A `Method` has Django's signature, and the
names of its steps from the outside to the inside; `changes`, `transactions` and `bulk` contribute the steps:

    save_table = Method("_save_table", ("join_transaction", "record_relation", "remember"), ...)     # in saving.py

    def remember_row(proceed, write):       # in changes: called in place of Model._save_table
        updated = proceed(write)            # the other steps, and then Django's method
        ...

A *patch lease* has the steps that belong together; they run as long as somebody has a *hold* on the lease, such as a
connected receiver. Without a hold the class has Django's own method. `patched_methods()` says what is patched now.

A file has the methods of one subject, so that a change in Django is a change of one file: `saving`, `loading`,
`querysets`, `deletion`, `relations`, `atomic`, `savepoints` and `cursors`; `django_signals` has the dispatcher's.
"""
