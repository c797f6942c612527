"""The record shop itself: products, inventory, customers and orders."""
