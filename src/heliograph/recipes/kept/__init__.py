"""Kept fields: columns of a parent with an aggregate of its children, such as the number of comments of a post.

A kept field is an annotation that is stored. The *parent* has the field, and the *children* are the rows that are
aggregated. The *truth* is what `annotate()` gives for the declared aggregate. A *delta* is what one change of a child
adds to the stored value; a *recount* is an UPDATE with the aggregate as a subquery.

`cutting` takes a declared aggregate apart, and refuses what cannot be kept right. `kept_fields` has the description of
one field. `arithmetic` says what one child contributes to the stored value, if Python can compute it as the database
does. `work` says which parents a change of a child concerns, and by how much; `flushing` locks and updates them at the
end of the transaction. `receiving` connects the receivers, `pre_save` keeps a stale parent from writing its column
back. `all_fields` has all fields that are kept now, `verifying` compares and mends them.

    keep(Order, total=Sum(F("items__price") * F("items__quantity"), default=0))

    parent  Order, with the kept field `total`
    child   Item, with the foreign key `order`; the aggregate over it is Sum(F("price") * F("quantity"))
    work    an item of order 5 is moved to order 7: {5: {total: -30}, 7: {total: +30}}
"""
