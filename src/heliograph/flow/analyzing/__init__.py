"""Analyzing: a write is made for real and rolled back, and all that it has caused is kept, as by SQL's EXPLAIN ANALYZE.

`analyze` (`analysis`) makes the write that an `AskedWrite` describes, on a fresh copy of its row (`asked_instances`),
in a rehearsal, under a trace, and with its effects watched. `written_rows` keeps the values that saves have changed,
and the deliveries that were stored. The result is an `Analysis` with its facts (`analysis_facts`), which
`analysis_text` and `analysis_stages` print in rows (`report_rows`), and `analysis_json` gives to programs.

    >>> print(analyze(AskedWrite(Order, "update", pk=7, values={"status": "paid"})))
    shop.Order update of 7, rolled back: 12.1 ms, 6 queries
    ...
    not undone   connection to 10.0.0.7:443     shop/receivers.py:31     by announce

Nothing of it stays in the databases, in caches or in a mailbox; the last lines name the effects that stay.
"""
