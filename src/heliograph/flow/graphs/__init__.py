"""Graphs: which send calls which receiver, and what the receiver writes or sends, for `manage.py signals graph`.

A *node* is a send (a signal with its sender), a receiver, or a model whose rows are written. An *edge* says that a send
calls a receiver, that a receiver writes rows of a model or sends a signal, or that rows which are written cause a send.
`of_registry` makes the graph of the receivers that are connected: what may happen. `of_recordings` makes the graph of
recordings, which `trace().to_json()` writes: what has happened. `cycles` finds the edges that lead back to where they
come from; `printing` has the formats.

An example: `post_save shop.Order` calls `shop.receivers.total`, which writes `shop.Customer`, which causes
`post_save shop.Customer`. If a receiver of `post_save shop.Customer` writes orders again, then all edges between are
marked as a cycle.
"""
