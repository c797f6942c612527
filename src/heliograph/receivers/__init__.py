"""The options that `@receiver` adds for Django's signals: databases, old values, written fields, and bulk writes.

The dispatcher knows signals, senders and conditions. This package knows models. `receiver` (`decorator`) connects a
function to signals of either kind, also to Django's own where Heliograph does not run them, and leaves out the models
that migrations work with. `SaveConnector` (`save_options`) connects to a signal of models: it turns the options
`using`, `fetch`, `writes`, `keeps` and `bulk`, and a parameter named `changes`, into *facts* (`facts`, `keeping`) that
stand in the options of the receiver. A fact that decides whether a send is received is a *gate*; a fact may hold
something that is needed only while somebody is connected, such as a `Watch` on a field.

An example: `@receiver(pre_save, sender=Order, when=changed("status"), using="default", writes=["slug"])` becomes the
gate `Databases(("default",))` and the fact `AsksFor(fetch=False, writes=("slug",), ...)`, which holds a watch on the
two fields. The condition `changed("status")` stays as it was written. A save of an order in the database "other" stops
at the gate; a save in "default" tests the condition, and a `WritingCall` calls the function and adds the fields that it
has set to `update_fields`.
"""
