"""AsyncAPI: a document about the declared signals of a project, for `manage.py signals asyncapi`.

Each signal that `Signal.define` has made becomes a channel with one message, an operation by which the project sends
it, and, where somebody receives it, an operation that names the receivers. The payload of the message is what the
outbox stores of a send: the names of the contract, each with the JSON Schema of its annotation (`json_schema`). So an
instance of a model is the key of its row, and a Decimal is an object with its kind. `document` puts the parts together.

An example: of `def order_shipped(sender, *, order: Order, carrier: str = "DHL") -> None`, the payload is an object with
the properties `order`, a reference to a row of shop.Order, and `carrier`, a string; both are always there.
"""
