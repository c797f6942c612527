"""Changes: which fields of an instance have another value than when it was loaded or saved, without a query.

    @receiver(post_save, sender=Book, when=changed("price"))
    def log_price(sender, instance, changes, **kwargs):
        old, new = changes["price"]

    book = Book.objects.get()           # the instance remembers the values that the database has sent
    book.price = 12
    book.save()                         # calls log_price: changes == {"price": Change(old=10, new=12)}

Receivers *watch* fields of a model; the model then has a *plan* (the fields to compare), and its instances a *memory*
of their row. A rollback brings back the older memory, so a memory says since which savepoint time it counts. While a
row is written, a *write is under way*, with the values before and after; a *comparison* of the two gives the changes.
A value that cannot be known is `UNKNOWN`, and the value of a row that is not there is `NO_ROW`.

`remembering` has the steps of watched models, `under_way` the steps of a save, `rows` the rows of a bulk write.
"""

from heliograph.changes.comparing import Change
from heliograph.changes.current import changes_of
from heliograph.changes.values import NO_ROW, UNKNOWN

__all__ = ["NO_ROW", "UNKNOWN", "Change", "changes_of"]
