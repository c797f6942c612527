"""The example shop under load: shoppers of locust, a real server and a real worker, and a check of what they leave.

The same orders are placed in three variants, with the confirmation of an order as a receiver with `Inline()`,
`OnCommit()` and `Durable()`. The receiver sends a mail to a server on this machine that takes 50 ms.
Each variant has a database, a server (waitress) and a worker (`outbox run`) of its own, and they take turns:

    measuring.measure(load, show)   starts the processes, follows locust, and lets `checks` look at the databases
    checkout/                       the app that is added to the shop: the address for orders, and the receiver
    beginning, server, checks       programs that run with the settings of the shop under load
    shoppers                        the file of locust
"""
