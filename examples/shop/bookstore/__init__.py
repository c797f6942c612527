"""The bookstore: books with reviews and stock, and points for whoever buys them."""
