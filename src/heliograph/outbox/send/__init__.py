"""From the send to the row: the policy `Durable`, the row of a call, and the one INSERT of a transaction.

`policy` is the delivery policy, a policy for the end of a transaction. When a signal is sent, `storing` makes the row
at once: a value that cannot be stored is an error of the line that sends it, and the row has the values of that time.
The rows wait as pending calls. When no other call of the transaction is left, `enqueueing` writes all of
them by one INSERT: a thousand saves have one statement. `key_locks` lets transactions whose deliveries share a key wait
for each other before that, so that the numbers of the rows are in the order of the commits.

    with transaction.atomic():
        order.save()        # the row is made here
        order.refund()      # and another one
    # INSERT of both rows, then COMMIT, then backends are notified
"""
