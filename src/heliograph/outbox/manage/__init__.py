"""Reports about deliveries, selections of some, and operations on them, for the command and the admin.

`reporting` counts the deliveries of each queue and receiver, and `showing` prints that for people or as JSON. To change
deliveries takes three steps. A *selection* (`selecting`) is what somebody was shown: the numbers, and the time of the
last claim among them. An *operation* (`operations`) is to redeliver, discard or delete. `performing` does it to the
selection in chunks, each a transaction with its progress, so that a process that is killed leaves nothing half done.

    manage.py outbox redeliver --receiver shop.receivers.confirm --reason "the mail server is back"

prints how many deliveries of which errors it would redeliver, asks, and then redelivers these and no others: a delivery
that failed meanwhile, or that a worker has claimed, stays as it is.
"""
