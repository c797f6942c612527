"""Recordings: what a management command sends, calls and enqueues becomes a test that asserts the same.

`manage.py signals record --as-test FILE -- COMMAND` runs the command under a `trace()`. `recorded_facts` takes from its
events the sends that receivers of the project have received, the calls of these receivers, and what waits in the
outbox, each once; `written_tests` writes them as a test of pytest, in the verbs of `heliograph.testing`; and
`importable_names` finds the names by which a test imports signals, senders and receivers. A receiver without such a
name, such as a lambda, is named in a comment. Values are in the test only by their names: `--with-values carrier`.

    def test_ship_orders(signals, outbox):
        call_command("ship_orders")

        signals.assert_sent(order_shipped, sender=Order, carrier="DHL")
        signals.assert_called(write_label, sender=Order, carrier="DHL")
        outbox.assert_enqueued(thank_customer, sender=Order, carrier="DHL")
"""
