"""Durable receivers: their calls are rows, written in the transaction of the send and made by a worker."""
