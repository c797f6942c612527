"""What a durable delivery costs, beside other ways to have work done after a commit."""
