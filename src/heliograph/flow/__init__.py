"""Seeing what happens: text about signals and receivers for people.

Three questions have an answer here. *Who is connected?* is answered by records of connections (`connected_receivers`),
which filters choose from (`receiver_filters`). The *listing* prints them, `graphs` draw them, the *drift* compares them
with a file, `asyncapi` describes the signals that a project declares, and `source_checks` reads what receivers do.
*Whom will a write call, and in which order?* is answered by `explain`: from what is connected, by `stories`, or by a
write that is made and rolled back, which `analyzing` shows, with the `effects` that a rollback does not undo. *What
happened, and why not?* is answered by the *trace*: it keeps the events of a block, and prints them as a *tree* (`tree`,
`tree_text`, `tree_json`) of saves, sends and calls. `verbs` has the verbs of `manage.py signals`.

This package is above all others, and nothing imports it except the commands and the public names `explain` and `trace`.
It reads what the dispatcher says about itself: connections and their facts, and events such as `Sent`, `Called` and
`Skipped`. While a trace is open, `observed_database` makes events of saves and queries. It changes nothing, and no
receiver is called because of it.

An example: in `with trace() as flow: order.save()`, the scope gets `Saving(Order)` with the number 1, `Sent(post_save)`
with the parent 1, and `Called(send_mail)` with the parent 2. `print(flow)` writes the save, below it the signal, and
below that the receiver with its time and its queries; a save that the receiver made is a branch below the receiver.
"""
