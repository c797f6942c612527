"""From the row to the outcome: deliveries are claimed, receivers called, and outcomes recorded.

A `Runner` is one thread that works. `claiming` takes deliveries that are due, by one statement, with a *lease*:
`lease_renewal` renews it while the process lives. `attempts` calls the receiver, in a transaction and in a copy of the
context (`isolation`), and leaves nothing open behind it (`leftovers`, `forks`). What came of it is an outcome, a value;
`recording` writes it with the *fence*: only if this worker still has this attempt of the delivery. `waking` is how a
worker that has nothing to do learns of new deliveries, and `external_workers` is what a worker of Celery does with a
number.

    outcome = attempt(claim, receivers)     # Succeeded(None), Again(60.0, error), Dead(error), ...

A worker that is killed here records nothing: its lease runs out, and another worker makes the delivery.
"""
