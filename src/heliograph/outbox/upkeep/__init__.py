"""The upkeep of the tables: a list of chores, and the loop that does them again and again.

A *chore* has a name, a function that is called with the alias of a database, and a pause. There are four: *rescue*
takes deliveries from workers whose lease has run out, *sweep* notifies backends again of what still waits, *perform*
goes on with the operations that people have asked for, and *prune* deletes what was kept long enough. The command
`outbox run` runs the loop between its other work; in a worker of Celery it has a thread (`upkeep_thread`).

    CHORES = (Chore("rescue", rescue, lambda: 5.0), ...)

A new chore is a line in this list; another package adds one by `add_chore()`, as the audit log does. An error of a
chore is logged, and the others are done all the same.
"""
