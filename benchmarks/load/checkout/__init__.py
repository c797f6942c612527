"""The app that the load adds to the shop: an address that places an order, and the receiver that is compared."""
