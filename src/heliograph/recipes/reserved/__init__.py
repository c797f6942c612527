"""Reserved units: rows such as the items of an order take units of a stock, which never goes below zero.

The words of an example are used throughout: an *item* has a quantity, and refers to its *product*, which has a stock.
The *state* of an item is all that decides how many units it takes. An *amount* is how many units more are taken of a
product than before; a negative one gives units back.

`items` says what a batch of items takes, and `all_items` has all items. `stocks` adds up what all batches of a
transaction take, and changes each stock by one statement, in one order for all transactions. `reserving` connects the
receivers, `refusals` has the declarations that cannot be right, and `totals` compares a stock with a total.

    reserve(OrderItem, "quantity", from_="product.stock")

    states  an item goes from (5, 3), which is three of product 5, to (7, 4)
    amounts {5: -3, 7: 4}
    stocks  UPDATE ... SET stock = stock + 3 WHERE id = 5
            UPDATE ... SET stock = stock - 4 WHERE id = 7 AND stock >= 4
"""
