"""The costs of a durable delivery, beside other ways to have work done after a commit."""
