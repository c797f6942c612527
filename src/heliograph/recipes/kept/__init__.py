"""Kept fields: columns of a parent with an aggregate of its children, such as the number of comments of a post.

`cutting` takes a declared aggregate apart, and refuses what cannot be kept right. `fields` has the description of one
kept field, a `KeptField`. `arithmetic` says what one child contributes to the stored value, if Python can compute it
as the database does. `work` says which parents a change of a child concerns, and by how much; `flush` locks and updates
them at the end of the transaction. `receiving` connects the receivers, `locking` locks parents where a
database needs it before a child is written, `writing` keeps a stale parent from writing its
column back. `registry` has all declarations, `verifying` compares, mends and fills.

    keep(Order, total=Sum(F("items__price") * F("items__quantity"), default=0))

    parent  Order, with the kept field `total`
    child   Item, with the foreign key `order`; the aggregate over it is Sum(F("price") * F("quantity"))
    work    an item of order 5 is moved to order 7: {5: {total: -30}, 7: {total: +30}}
"""
