"""From the send to the row: the policy `Durable`, the row of a call, and the one INSERT of a transaction."""
