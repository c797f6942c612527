"""Seeing what happens: text about signals and receivers for people.

Two questions have an answer here. *Who is connected?* is answered by the *listing* (`listing`), which `manage.py
signals list` prints: each signal with its receivers in the order of their calls, their files and lines, and their
options as they were written. *What happened?* is answered by the *trace* (`trace`): it keeps the events of a block, and
prints them as a tree of sends and calls with their times.

This package is above all others, and nothing imports it except the commands and the public name `heliograph.trace`. It
reads what the dispatcher says about itself: connections and their facts, the events `Sent` and `Called`, and the hook
`Scope.around_call`. It changes nothing, and no receiver is called because of it.

An example: in `with trace() as flow: order.save()`, the scope gets `Sent(post_save)` with the number 1, then
`Called(send_mail)` with the parent 1. `print(flow)` writes the signal, and below it the receiver with its time; a save
that the receiver made is a branch below the receiver.
"""
