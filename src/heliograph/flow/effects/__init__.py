"""Effects: what code does that the rollback of its transaction does not undo, each with the receiver that did it.

`watched_effects` (`watching_effects`) records the effects of a block as a list of `Effect` (`seen_effects`). A part has
a module: mail and the caches are *held*, so nothing of them happens (`held_mail`, `held_caches`); the statements of
Django's cursors show sequences and writes of other connections (`statement_effects`); and a hook in Python's audit
events sees files, sockets, programs and threads (`process_effects`).

    with rehearsal(), watched_effects() as effects:
        order.save()
    for effect in effects:
        print(effect.kind, effect.text, effect.receiver)     # mail  mail 'Welcome' to 1 recipient  <function welcome>

The block belongs to a thread or task: others send their mails meanwhile. What runs in a thread that the block has
started is recorded too. Programs in C that open their own files or sockets, as libpq does, are seen by nobody.
"""
