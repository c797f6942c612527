"""The declarations of durable receivers: their options, retries and names, and which receivers are connected.

`Durable(queue="mail", retry=Retry(attempts=8))` is a frozen value; `durable_options` verifies it where it is typed.
When the receiver is connected, it becomes a `DurableReceiver`: a fact in the options of its connection, with the *name*
under which its deliveries stand in the table. The name is all that a process which sends and a process which works
share, so the *registry* finds the receivers of this process by it, and nothing is imported because a row says so.

    @receiver(post_save, sender=Order, delivery=Durable(aliases=["shop.signals.confirm"]))
    def confirm(sender, instance, **kwargs): ...            # in shop/receivers.py

The delivery of a saved order has the receiver "shop.receivers.confirm" and the sender "shop.Order". This receiver also
makes the deliveries that were stored under its old name. A worker without such a receiver leaves the row to others.
"""
